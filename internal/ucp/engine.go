package ucp

import (
	"context"
	"io"
	"time"
)

// DockerConfig says which Docker Engine to use beside UCP.
type DockerConfig struct {
	// Host is unix:///path, tcp://host:port or ssh://user@host.
	Host string
	// CACert, ClientCert and ClientKey are PEM texts for tcp. Without any, tcp is plain HTTP.
	CACert, ClientCert, ClientKey string
	// UseEnv takes what is empty here from DOCKER_HOST, DOCKER_CERT_PATH, DOCKER_TLS_VERIFY and DOCKER_API_VERSION.
	UseEnv    bool
	UserAgent string
	Retry     RetryConfig
}

// NewEngine connects to a single engine and agrees on the version of its API.
func NewEngine(ctx context.Context, c DockerConfig) (*Engine, error) { return nil, errTODO }

// Engine is the Docker Engine API, 1.30 (Engine 17.06) to the newest. It is safe for concurrent use.
// cerrdefs.IsNotFound, IsConflict and IsUnauthorized hold for the errors of its methods.
type Engine struct{}

// Containers lists the containers that carry all the labels, running and stopped; nil means all.
func (e *Engine) Containers(ctx context.Context, labels map[string]string) ([]Container, error) {
	return nil, errTODO
}

// Container inspects one container.
func (e *Engine) Container(ctx context.Context, idOrName string) (ContainerState, error) {
	return ContainerState{}, errTODO
}

// Nodes lists the nodes of the swarm.
func (e *Engine) Nodes(ctx context.Context) ([]Node, error) { return nil, errTODO }

// Info describes the engine.
func (e *Engine) Info(ctx context.Context) (Info, error) { return Info{}, errTODO }

// Version tells the versions of the engine, of its API and of UCP.
func (e *Engine) Version(ctx context.Context) (Version, error) { return Version{}, errTODO }

// Images returns the tags and digests of the images that are present.
// A node narrows it to that node, through UCP only; "" means anywhere.
func (e *Engine) Images(ctx context.Context, node string) (map[string]bool, error) {
	return nil, errTODO
}

// ImageDigests returns the repository digests of an image that is present.
func (e *Engine) ImageDigests(ctx context.Context, ref string) ([]string, error) {
	return nil, errTODO
}

// RemoteImage asks the image's registry, through the engine, for its digest ("sha256:...").
func (e *Engine) RemoteImage(ctx context.Context, ref string) (digest string, err error) {
	return "", errTODO
}

// Pull pulls an image, through UCP on every node. The progress function, which may be nil, gets a line a change.
func (e *Engine) Pull(ctx context.Context, ref string, progress func(string)) error { return errTODO }

// Load loads the images of a tar archive, through UCP on every node.
func (e *Engine) Load(ctx context.Context, archive io.Reader) error { return errTODO }

// Create creates a container. cerrdefs.IsConflict holds when the name is taken.
func (e *Engine) Create(ctx context.Context, s CreateSpec) (id string, err error) {
	return "", errTODO
}

// Start starts a created container.
func (e *Engine) Start(ctx context.Context, id string) error { return errTODO }

// Remove removes a container that does not run, and its volumes. It is never forced.
func (e *Engine) Remove(ctx context.Context, id string) error { return errTODO }

// Logs reads standard output and standard error of a container, interleaved.
// A zero since means from the start. With follow it goes on until the container ends or ctx does.
func (e *Engine) Logs(ctx context.Context, id string, since time.Time, follow bool) (io.ReadCloser, error) {
	return nil, errTODO
}

// Wait waits until the container does not run any more and returns its exit status.
func (e *Engine) Wait(ctx context.Context, id string) (int, error) { return 0, errTODO }

// APIVersion is the version of the Engine API in use, "1.30" or later.
func (e *Engine) APIVersion() string { return "" }
