package bootstrap

import (
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
)

func TestReplicaCommands(t *testing.T) {
	t.Parallel()
	login := UCP{URL: "https://ucp.example.com", Username: "admin", Password: "s3cret pass", CA: ca, Insecure: true}
	const reach = " --ucp-url https://ucp.example.com --ucp-username admin --ucp-insecure-tls"
	join := JoinOptions{
		ExistingReplicaID: "0123456789ab", ReplicaID: "ba9876543210", Node: "worker4", HTTPPort: 8080, HTTPSPort: 8443, UCP: login,
	}
	remove := RemoveOptions{ExistingReplicaID: "0123456789ab", ReplicaID: "ba9876543210", UCP: login}
	tests := []struct {
		name string
		make func(v *semver.Version) (args, env []string)
		want string
	}{
		{
			"join", func(v *semver.Version) ([]string, []string) { return JoinCommand(v, join) },
			"join --existing-replica-id 0123456789ab --replica-id ba9876543210 --ucp-node worker4 --replica-http-port 8080 --replica-https-port 8443" + reach,
		},
		{
			"join with nothing else said", func(v *semver.Version) ([]string, []string) {
				return JoinCommand(v, JoinOptions{Node: "worker4", UCP: login})
			},
			"join --ucp-node worker4" + reach,
		},
		{
			"remove", func(v *semver.Version) ([]string, []string) { return RemoveCommand(v, remove) },
			"remove --existing-replica-id 0123456789ab --replica-ids ba9876543210" + reach,
		},
	}
	for _, tt := range tests {
		for _, v := range []string{"2.5.6", "2.6.15", "2.7.8", "2.9.30"} {
			t.Run(tt.name+" "+v, func(t *testing.T) {
				t.Parallel()
				args, env := tt.make(semver.MustParse(v))
				if got := strings.Join(args, " "); got != tt.want {
					t.Errorf("arguments\n  %s, want\n  %s", got, tt.want)
				}
				if diff := cmp.Diff([]string{"UCP_CA=" + ca, "UCP_PASSWORD=s3cret pass"}, env); diff != "" {
					t.Errorf("environment (-want +got):\n%s", diff)
				}
			})
		}
	}
}
