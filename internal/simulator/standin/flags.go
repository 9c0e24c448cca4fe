package standin

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/Masterminds/semver/v3"
)

// The commands that are simulated, besides those that only print something.
const (
	CommandUpgrade = "upgrade"
	CommandJoin    = "join"
	CommandRemove  = "remove"
	CommandBackup  = "backup" // which changes nothing, and has no second phase
)

// commands are those with a second phase.
var commands = []string{CommandUpgrade, CommandJoin, CommandRemove}

// options are the flags of a command.
type options struct {
	existing               string
	ucpURL, ucpUser, ucpCA string
	ucpPassword            string
	ucpInsecure, debug     bool
	noImageCheck, noColor  bool
	offlineBackup          bool
	maxWait                time.Duration

	replica, node       string // join: the new replica, and its node; remove: the replica
	httpPort, httpsPort int
	cacheMB             int
	skipNetworkTest     bool
	unsafe, force       bool
}

// commandFlag is one flag, the variable that it defaults to, and the versions that
// have it.
type commandFlag struct {
	name, env  string
	from, till string // versions, "" for all; till is the first without it
	value      func(o *options) any
}

// everyFlags are the flags of every command.
var everyFlags = []commandFlag{
	{"debug", "DEBUG", "", "", func(o *options) any { return &o.debug }},
	{"existing-replica-id", "DTR_REPLICA_ID", "", "", func(o *options) any { return &o.existing }},
	{"ucp-url", "UCP_URL", "", "", func(o *options) any { return &o.ucpURL }},
	{"ucp-username", "UCP_USERNAME", "", "", func(o *options) any { return &o.ucpUser }},
	{"ucp-password", "UCP_PASSWORD", "", "", func(o *options) any { return &o.ucpPassword }},
	{"ucp-ca", "UCP_CA", "", "", func(o *options) any { return &o.ucpCA }},
	{"ucp-insecure-tls", "UCP_INSECURE_TLS", "", "", func(o *options) any { return &o.ucpInsecure }},
}

// commandFlags are the other flags of each command.
var commandFlags = map[string][]commandFlag{
	CommandUpgrade: {
		{"no-image-check", "NO_IMAGE_CHECK", "2.6", "2.7", func(o *options) any { return &o.noImageCheck }},
		{"nocolor", "NOCOLOR", "2.9", "", func(o *options) any { return &o.noColor }},
		{"max-wait", "MAX_WAIT", "2.9", "", func(o *options) any { return &o.maxWait }},
	},
	CommandJoin: {
		{"ucp-node", "UCP_NODE", "", "", func(o *options) any { return &o.node }},
		{"replica-id", "DTR_JOIN_REPLICA_ID", "", "", func(o *options) any { return &o.replica }},
		{"replica-http-port", "REPLICA_HTTP_PORT", "", "", func(o *options) any { return &o.httpPort }},
		{"replica-https-port", "REPLICA_HTTPS_PORT", "", "", func(o *options) any { return &o.httpsPort }},
		{"replica-rethinkdb-cache-mb", "RETHINKDB_CACHE_MB", "", "", func(o *options) any { return &o.cacheMB }},
		{"skip-network-test", "DTR_SKIP_NETWORK_TEST", "", "", func(o *options) any { return &o.skipNetworkTest }},
		{"unsafe-join", "DTR_UNSAFE_JOIN", "", "", func(o *options) any { return &o.unsafe }},
	},
	CommandRemove: {
		{"replica-ids", "DTR_REMOVE_REPLICA_IDS", "", "", func(o *options) any { return &o.replica }},
		{"replica-id", "DTR_REMOVE_REPLICA_ID", "", "", func(o *options) any { return &o.replica }},
		{"force", "DTR_FORCE_REMOVE", "2.6.13", "2.7", func(o *options) any { return &o.force }},
		{"force", "DTR_FORCE_REMOVE", "2.7.6", "", func(o *options) any { return &o.force }},
	},
	CommandBackup: {
		{"offline-backup", "OFFLINE_BACKUP", "2.5", "", func(o *options) any { return &o.offlineBackup }},
	},
}

func (f commandFlag) known(v *semver.Version) bool {
	return (f.from == "" || !v.LessThan(semver.MustParse(f.from))) && (f.till == "" || v.LessThan(semver.MustParse(f.till)))
}

// knowsVersionFlag reports whether a version has --version, which came with 2.7.0.
func knowsVersionFlag(v *semver.Version) bool { return !v.LessThan(semver.MustParse("2.7.0")) }

// parseFlags reads a command's flags and their variables as a version of the
// bootstrapper does: a flag that it does not know is an error.
func parseFlags(command string, v *semver.Version, args []string, vars map[string]string) (options, error) {
	var o options
	set := flag.NewFlagSet(command, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, f := range slices.Concat(everyFlags, commandFlags[command]) {
		if !f.known(v) {
			continue
		}
		switch value := f.value(&o).(type) {
		case *bool:
			on, err := strconv.ParseBool(vars[f.env])
			if vars[f.env] != "" && err != nil {
				return o, fmt.Errorf("invalid value %q of %s", vars[f.env], f.env)
			}
			set.BoolVar(value, f.name, on, "")
		case *string:
			set.StringVar(value, f.name, cmp.Or(vars[f.env], *value), "")
		case *int:
			number, err := strconv.Atoi(vars[f.env])
			if vars[f.env] != "" && err != nil {
				return o, fmt.Errorf("invalid value %q of %s", vars[f.env], f.env)
			}
			set.IntVar(value, f.name, number, "")
		case *time.Duration:
			wait, err := time.ParseDuration(vars[f.env])
			if vars[f.env] != "" && err != nil {
				return o, fmt.Errorf("invalid value %q of %s", vars[f.env], f.env)
			}
			set.DurationVar(value, f.name, wait, "")
		}
	}
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	return o, nil
}

// env passes the options on to phase 2.
func (o options) env() []string {
	env := []string{
		"UCP_NODE=" + o.node, "DTR_JOIN_REPLICA_ID=" + o.replica, "DTR_REMOVE_REPLICA_IDS=" + o.replica,
		"DTR_REPLICA_ID=" + o.existing, "UCP_URL=" + o.ucpURL, "UCP_USERNAME=" + o.ucpUser,
		"UCP_PASSWORD=" + o.ucpPassword, "UCP_CA=" + o.ucpCA,
	}
	if o.ucpInsecure {
		env = append(env, "UCP_INSECURE_TLS=true")
	}
	if o.debug {
		env = append(env, "DEBUG=true")
	}
	if o.httpPort > 0 {
		env = append(env, fmt.Sprintf("REPLICA_HTTP_PORT=%d", o.httpPort))
	}
	if o.httpsPort > 0 {
		env = append(env, fmt.Sprintf("REPLICA_HTTPS_PORT=%d", o.httpsPort))
	}
	if o.maxWait > 0 {
		env = append(env, "MAX_WAIT="+o.maxWait.String())
	}
	return env
}
