package bootstrap

import (
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
)

const ca = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

func everything() UpgradeOptions {
	return UpgradeOptions{
		ExistingReplicaID: "0123456789ab",
		UCP:               UCP{URL: "https://ucp.example.com", Username: "admin", Password: "s3cret pass", CA: ca, Insecure: true},
		NoImageCheck:      true,
	}
}

func TestUpgradeCommand(t *testing.T) {
	t.Parallel()
	const always = "--existing-replica-id 0123456789ab --ucp-url https://ucp.example.com --ucp-username admin --ucp-insecure-tls"
	tests := []struct{ target, want string }{
		{"2.0.0", "upgrade " + always},
		{"2.5.17", "upgrade " + always},
		{"2.6.0", "upgrade --no-image-check " + always},
		{"2.6.15", "upgrade --no-image-check " + always},
		{"2.7.0", "upgrade " + always},
		{"2.7.8", "upgrade " + always},
		{"2.8.13", "upgrade " + always},
		{"2.9.0", "upgrade --nocolor " + always},
		{"2.9.30", "upgrade --nocolor " + always},
		{"2.10.0", "upgrade --nocolor " + always},
		{"3.0.0", "upgrade --nocolor " + always},
	}
	for _, tt := range tests {
		t.Run(tt.target, func(t *testing.T) {
			t.Parallel()
			args, env := UpgradeCommand(semver.MustParse(tt.target), everything())
			if got := strings.Join(args, " "); got != tt.want {
				t.Errorf("arguments\n  %s, want\n  %s", got, tt.want)
			}
			if diff := cmp.Diff([]string{"UCP_CA=" + ca, "UCP_PASSWORD=s3cret pass"}, env); diff != "" {
				t.Errorf("environment (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUpgradeCommandLeavesOut(t *testing.T) {
	t.Parallel()
	tests := []struct{ target, want string }{
		{"2.5.17", "upgrade"},
		{"2.6.15", "upgrade"},
		{"2.7.8", "upgrade"},
		{"2.9.30", "upgrade --nocolor"},
	}
	for _, tt := range tests {
		t.Run(tt.target, func(t *testing.T) {
			t.Parallel()
			args, env := UpgradeCommand(semver.MustParse(tt.target), UpgradeOptions{})
			if got := strings.Join(args, " "); got != tt.want {
				t.Errorf("arguments %q, want %q", got, tt.want)
			}
			if len(env) != 0 {
				t.Errorf("environment %q", env)
			}
		})
	}
}

func TestUpgradeCommandHasNoSecretArguments(t *testing.T) {
	t.Parallel()
	tests := []struct{ url, want string }{
		{"https://ucp.example.com", "https://ucp.example.com"},
		{"https://ucp.example.com:8443/", "https://ucp.example.com:8443/"},
		{"https://admin:s3cret@ucp.example.com", "https://ucp.example.com"},
		{"https://admin:s3cret@s3cret@ucp.example.com:8443", "https://ucp.example.com:8443"},
		{"https://admin:s3cret/s3cret@ucp.example.com", "https://ucp.example.com"},
		{"admin:s3cret@ucp.example.com", "ucp.example.com"},
		{"HTTPS://admin:s3cret@ucp.example.com", "HTTPS://ucp.example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			t.Parallel()
			o := everything()
			o.UCP.URL, o.UCP.Password = tt.url, "s3cret"
			args, _ := UpgradeCommand(semver.MustParse("2.9.30"), o)
			all := strings.Join(args, " ")
			if !strings.Contains(all, "--ucp-url "+tt.want+" ") {
				t.Errorf("arguments %q, want URL %s", all, tt.want)
			}
			for _, secret := range []string{"s3cret", "CERTIFICATE"} {
				if strings.Contains(all, secret) {
					t.Errorf("arguments %q contain %q", all, secret)
				}
			}
		})
	}
}

func TestBackupCommand(t *testing.T) {
	t.Parallel()
	login := UCP{URL: "https://ucp.example.com", Username: "admin", Password: "secret", CA: "PEM", Insecure: true}
	args, env := BackupCommand(BackupOptions{ExistingReplicaID: "0123456789ab", UCP: login})
	want := []string{
		"backup", "--existing-replica-id", "0123456789ab", "--ucp-url", "https://ucp.example.com", "--ucp-username", "admin", "--ucp-insecure-tls",
	}
	if !slices.Equal(args, want) || !slices.Equal(env, []string{"UCP_CA=PEM", "UCP_PASSWORD=secret"}) {
		t.Errorf("%q, %q", args, env)
	}
}

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
		make func() (args, env []string)
		want string
	}{
		{
			"join", func() ([]string, []string) { return JoinCommand(join) },
			"join --existing-replica-id 0123456789ab --replica-id ba9876543210 --ucp-node worker4 --replica-http-port 8080 --replica-https-port 8443" + reach,
		},
		{
			"join with nothing else said", func() ([]string, []string) { return JoinCommand(JoinOptions{Node: "worker4", UCP: login}) },
			"join --ucp-node worker4" + reach,
		},
		{
			"remove", func() ([]string, []string) { return RemoveCommand(remove) },
			"remove --existing-replica-id 0123456789ab --replica-ids ba9876543210" + reach,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args, env := tt.make()
			if got := strings.Join(args, " "); got != tt.want {
				t.Errorf("arguments\n  %s, want\n  %s", got, tt.want)
			}
			if diff := cmp.Diff([]string{"UCP_CA=" + ca, "UCP_PASSWORD=s3cret pass"}, env); diff != "" {
				t.Errorf("environment (-want +got):\n%s", diff)
			}
		})
	}
}
