package simulator

import (
	"context"
	"io"
)

const (
	bootstrapperAgent  = "dtr-bootstrapper/"
	envImageRepository = "DTR_IMAGE_REPOSITORY"
	envImageVersion    = "DTR_IMAGE_VERSION"
	envSpeed           = "SIMULATOR_SPEED"
)

type hooks struct {
	faults func() BootstrapperFaults
	reach  func(ctx context.Context, point string)
}

type hooksKey struct{}

func withHooks(ctx context.Context, h hooks) context.Context {
	return context.WithValue(ctx, hooksKey{}, h)
}

// Bootstrapper stands for the program of the docker/dtr image.
func Bootstrapper(ctx context.Context, args, env []string, stdout io.Writer) int { return 1 }
