package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// schemaMethod is the call that asks for the schema, by version of Terraform's plugin
// protocol.
var schemaMethod = map[int]string{5: "/tfplugin5.Provider/GetSchema", 6: "/tfplugin6.Provider/GetProviderSchema"}

// anyProvider gives the bare connection: the messages are not looked at.
type anyProvider struct{ plugin.NetRPCUnsupportedPlugin }

func (anyProvider) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }

func (anyProvider) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

// startUp measures from the start of the program to its schema, asked for as Terraform does.
func (b *bench) startUp(ctx context.Context) error {
	took := samples{}
	for i := range 4*b.Runs + 1 {
		for source, program := range map[string]string{ownSource: ownProgram, peerSource: peerProgram} {
			d, err := toSchema(ctx, b.program(program))
			if err != nil {
				return fmt.Errorf("%s: %w", source, err)
			}
			if i > 0 {
				took.add(source, ms(d))
			}
		}
	}
	b.add(newRow("from the start to the schema", milliseconds, took.median(ownSource), peerSource, took.median(peerSource)))
	return nil
}

func toSchema(ctx context.Context, program string) (time.Duration, error) {
	plugins := map[int]plugin.PluginSet{}
	for version := range schemaMethod {
		plugins[version] = plugin.PluginSet{"provider": anyProvider{}}
	}
	began := time.Now()
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{ // Terraform's
			MagicCookieKey:   "TF_PLUGIN_MAGIC_COOKIE",
			MagicCookieValue: "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
		},
		VersionedPlugins: plugins, Cmd: exec.CommandContext(ctx, program), AutoMTLS: true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, Logger: hclog.New(&hclog.LoggerOptions{Output: io.Discard}),
	})
	defer client.Kill()
	rpc, err := client.Client()
	if err != nil {
		return 0, err
	}
	provider, err := rpc.Dispense("provider")
	if err != nil {
		return 0, err
	}
	err = provider.(*grpc.ClientConn).Invoke(ctx, schemaMethod[client.NegotiatedVersion()], &emptypb.Empty{}, &emptypb.Empty{},
		grpc.MaxCallRecvMsgSize(64<<20))
	return time.Since(began), err
}
