package simulator

import (
	"fmt"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// databaseStatus is what DTR shows of its database.
type databaseStatus struct{ members *members }

// databaseTables names as many tables as it takes to make the status as large as that
// of a real cluster.
var databaseTables = map[string][]string{
	"dtr2": {
		"access", "blob_links", "blobs", "client_tokens", "content_caches", "crons", "events", "layers",
		"manifests", "namespaces", "poll_mirroring", "private_keys", "promotion_policies", "properties",
		"pruning_policies", "push_mirroring", "repositories", "scanned_images", "tags", "users", "webhooks",
	},
	"jobrunner":    {"action_configs", "actions", "crons", "jobs", "locks", "logs", "workers"},
	"notaryserver": {"changefeed", "tuf_files"},
	"notarysigner": {"private_keys"},
}

// tables are RethinkDB's own tables about itself.
func (d databaseStatus) tables() object {
	ids := d.members.replicas()
	server := func(id string) string { return "dtr_rethinkdb_" + id }
	var servers []string
	serverStatus, stats := []object{}, []object{{"id": []string{"cluster"}, "query_engine": queryEngine()}}
	issues := []object{}
	for _, id := range ids {
		servers = append(servers, server(id))
		if !d.members.runs(id, "rethinkdb") {
			issues = append(issues, object{
				"id": newUUID(), "type": "table_availability", "critical": true,
				"description": fmt.Sprintf("Server %s is not connected.", server(id)), "info": object{},
			})
			continue
		}
		serverStatus = append(serverStatus, object{
			"id": release.StableID("server", id)[:32], "name": server(id),
			"network": object{
				"hostname": server(id), "cluster_port": 29015, "reql_port": 28015, "http_admin_port": 8080,
				"canonical_addresses": []object{{"host": server(id), "port": 29015}},
				"connected_to":        object{}, "time_connected": formatTime(d.members.reports[id].refreshed),
			},
			"process": object{"argv": []string{"rethinkdb"}, "cache_size_mb": 1024, "pid": 1, "version": "rethinkdb 2.3.6"},
		})
		stats = append(stats, object{"id": []string{"server", release.StableID("server", id)[:32]}, "server": server(id), "query_engine": queryEngine()})
	}
	databases, tableConfig, tableStatus := []object{}, []object{}, []object{}
	for db, tables := range databaseTables {
		databases = append(databases, object{"id": release.StableID("db", db)[:32], "name": db})
		for _, table := range tables {
			key := release.StableID("table", db, table)[:32]
			tableConfig = append(tableConfig, object{
				"id": key, "db": db, "name": table, "durability": "hard", "write_acks": "majority",
				"indexes": []string{}, "primary_key": "pk",
				"shards": []object{{"nonvoting_replicas": []string{}, "primary_replica": servers[0], "replicas": servers}},
			})
			tableStatus = append(tableStatus, object{
				"id": key, "db": db, "name": table, "raft_leader": servers[0],
				"shards": []object{{"primary_replicas": servers[:1], "replicas": d.tableReplicas(ids, server)}},
				"status": object{
					"all_replicas_ready": len(issues) == 0, "ready_for_outdated_reads": true,
					"ready_for_reads": true, "ready_for_writes": true,
				},
			})
		}
	}
	return object{
		"cluster_config": []object{{"id": "auth"}, {"id": "heartbeat", "heartbeat_timeout_secs": 10}},
		"current_issues": issues, "db_config": databases, "server_status": serverStatus,
		"stats": stats, "table_config": tableConfig, "table_status": tableStatus,
	}
}

func (d databaseStatus) tableReplicas(ids []string, server func(id string) string) []object {
	var list []object
	for _, id := range ids {
		state := "ready"
		if !d.members.runs(id, "rethinkdb") {
			state = "disconnected"
		}
		list = append(list, object{"server": server(id), "state": state})
	}
	return list
}

func queryEngine() object {
	return object{
		"client_connections": 12, "clients_active": 4, "queries_per_sec": 20.5, "queries_total": 123456,
		"read_docs_per_sec": 10.5, "read_docs_total": 654321, "written_docs_per_sec": 1.5, "written_docs_total": 43210,
	}
}
