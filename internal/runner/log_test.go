package runner

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
)

func TestMask(t *testing.T) {
	t.Parallel()
	r := &Runner{Cluster: cluster.Cluster{Login: bootstrap.UCP{Password: "secret"}}}
	got := r.mask(bootstrap.Record{Message: "log in with secret", Fields: map[string]string{"error": "secret was refused"}})
	if text := fmt.Sprint(got); strings.Contains(text, "secret") || strings.Count(text, "***") != 2 {
		t.Error(text)
	}
}
