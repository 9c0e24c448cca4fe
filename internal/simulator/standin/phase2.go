package standin

import (
	"context"
	"errors"
)

// runPhase2 does the work of a command on the cluster's containers.
func runPhase2(ctx context.Context, b *bootstrapper) (status int) {
	work := map[string]func(context.Context, *bootstrapper) error{
		CommandUpgrade: upgrade, CommandJoin: join, CommandRemove: remove,
	}[b.command]
	err := b.connect(ctx)
	if err == nil {
		b.log.info("Establishing connection with Rethinkdb")
		err = work(ctx, b)
		_ = b.docker.Close()
	}
	if err == nil {
		return 0
	}
	if !errors.Is(err, errDied) {
		b.log.write("fatal", err.Error())
	}
	return 1
}
