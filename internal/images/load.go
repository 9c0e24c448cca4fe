package images

import (
	"context"
	"fmt"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

func load(archive string, v *semver.Version) func(context.Context, *ucp.Engine, func(string)) error {
	fields := map[string]any{"archive": archive, "version": v.String()}
	return func(ctx context.Context, engine *ucp.Engine, progress func(string)) error {
		f, err := openFile(archive)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		log.Info(ctx, "Loading images from "+archive, fields, map[string]any{"bytes": info.Size()})
		sent := &wait.Transfer{Report: func(n int64) {
			log.Detail(ctx, fmt.Sprintf("Sent %d of %d bytes of %s", n, info.Size(), archive), fields, map[string]any{"sent": n, "bytes": info.Size()})
		}}
		return engine.Load(ctx, sent.Reader(f), func(line string) {
			log.Detail(ctx, "Engine: "+line, fields, map[string]any{"progress": line})
			progress(line)
		})
	}
}
