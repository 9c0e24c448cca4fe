package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// object is a JSON object with no type of its own.
type object = map[string]any

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// settings has the keys of the minor version of the replica that answers.
func (d *dtr) settings(c *call) (int, any, error) {
	replicas := object{}
	for _, id := range d.replicas() {
		nginx, _ := d.component(id, "nginx")
		replicas[id] = object{
			"HTTPPort": cmp.Or(nginx.Ports[80], 80), "HTTPSPort": cmp.Or(nginx.Ports[443], 443), "node": d.reports[id].node,
		}
	}
	s := object{
		"anonymizeAnalytics": false, "createRepositoryOnPush": false, "disableBackupWarning": false,
		"dtrHost": d.host, "httpProxy": "", "httpsProxy": "", "jobHistoryToKeep": 0,
		"logHost": "", "logLevel": "INFO", "logProtocol": "internal", "nfsHost": "", "nfsPath": "", "noProxy": "",
		"replicaID": c.replica.id, "replicaSettings": replicas, "reportAnalytics": false,
		"scanningEnableAutoRecheck": false, "scanningEnabled": !d.scanner.faults.Disabled, "scanningSyncOnline": true, "sso": true,
		"storageVolume": "", "webTLSCA": d.caPEM, "webTLSCert": "",
	}
	if !c.replica.notBefore("2.5") {
		s["gcMode"] = "online"
	}
	if c.replica.notBefore("2.6") {
		s["disableUpgrades"] = false
		s["jobHistoryCompactionEnabled"] = false
		s["jobHistoryMaxAge"] = ""
		s["readOnlyRegistry"] = false
		s["repoEventHistoryCompactionEnabled"] = false
		s["repoEventHistoryMaxAge"] = ""
		s["repoEventHistoryToKeep"] = 0
		s["scanningDeadline"] = 60
	}
	if c.replica.notBefore("2.7") {
		s["clientCertAuthEnabled"] = false
		s["disablePersistentCookies"] = false
		s["webTLSClientCA"] = ""
	}
	return http.StatusOK, s, nil
}

// features: opted in is not yet migrated. Online garbage collection is what
// the migration is for, and is on once that is done.
func (d *dtr) features(c *call) (int, any, error) {
	f := object{
		"db_version": d.scanner.version, "mirroringLicensed": true, "promotionLicensed": true,
		"scanningEnabled": !d.scanner.faults.Disabled, "scanningLicensed": true, "ucpHost": d.ucpHost,
	}
	if c.replica.notBefore("2.5") {
		f["metadataStoreOptedIn"] = d.migration.optedIn
		f["onlineGCEnabled"] = d.migration.done
	}
	return http.StatusOK, f, nil
}

func (d *dtr) alerts(*call) (int, any, error) { return http.StatusOK, []object{}, nil }

func (d *dtr) workers(*call) (int, any, error) {
	list := []object{}
	for _, id := range d.replicas() {
		status := "running"
		if !d.runs(id, "jobrunner") {
			status = "dead"
		}
		list = append(list, object{
			"id": id, "status": status, "capacityMap": object{},
			"heartbeatExpiration": stamp(d.reports[id].refreshed.Add(2 * healthPeriod)),
		})
	}
	return http.StatusOK, object{"workers": list}, nil
}

func (d *dtr) clusterStatus(*call) (int, any, error) {
	now := time.Now()
	d.refresh(now) // what is judged by this time was reported by then
	health, timestamps, readonly := object{}, object{}, object{}
	for _, id := range d.replicas() {
		r := d.reports[id]
		health[id] = d.word(r, now)
		timestamps[id] = stamp(r.at)
		readonly[id] = false
	}
	return http.StatusOK, object{
		"replica_health": health, "replica_timestamp": timestamps, "replica_readonly": readonly,
		"gc_lock_holder": d.gcLock, "rethink_system_tables": d.systemTables(),
	}, nil
}

// databaseTables are names of tables, as many as make the status as large as
// those of real clusters.
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

// systemTables are RethinkDB's own tables about itself.
func (d *dtr) systemTables() object {
	ids := d.replicas()
	server := func(id string) string { return "dtr_rethinkdb_" + id }
	var servers []string
	serverStatus, stats := []object{}, []object{{"id": []string{"cluster"}, "query_engine": queryEngine()}}
	issues := []object{}
	for _, id := range ids {
		servers = append(servers, server(id))
		if !d.runs(id, "rethinkdb") {
			issues = append(issues, object{
				"id": uuid(), "type": "table_availability", "critical": true,
				"description": fmt.Sprintf("Server %s is not connected.", server(id)), "info": object{},
			})
			continue
		}
		serverStatus = append(serverStatus, object{
			"id": release.StableID("server", id)[:32], "name": server(id),
			"network": object{
				"hostname": server(id), "cluster_port": 29015, "reql_port": 28015, "http_admin_port": 8080,
				"canonical_addresses": []object{{"host": server(id), "port": 29015}},
				"connected_to":        object{}, "time_connected": stamp(d.reports[id].refreshed),
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

func (d *dtr) tableReplicas(ids []string, server func(id string) string) []object {
	var list []object
	for _, id := range ids {
		state := "ready"
		if !d.runs(id, "rethinkdb") {
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

// apiToken is an access token as the API shows it, without the secret.
func apiToken(t accessToken) object {
	return object{
		"createdAt": stamp(t.created), "lastUsed": stamp(t.used), "creatorUa": "", "generatedBy": "user",
		"hashedToken": t.hashed, "isActive": true, "tokenLabel": t.label,
	}
}

// tokenOwner is whose tokens a call is about: oneself, or for an administrator
// anybody.
func (c *call) tokenOwner() (string, error) {
	owner := c.URL.Query().Get("username")
	if owner == "" || owner == c.user.name {
		return c.user.name, nil
	}
	if !c.user.admin {
		return "", errNotAuthorized
	}
	return owner, nil
}

func (d *dtr) listTokens(c *call) (int, any, error) {
	owner, err := c.tokenOwner()
	if err != nil {
		return 0, nil, err
	}
	list := []object{}
	for _, t := range d.accounts.listTokens(owner) {
		list = append(list, apiToken(t))
	}
	return http.StatusOK, list, nil
}

func (d *dtr) addToken(c *call) (int, any, error) {
	owner, err := c.tokenOwner()
	if err != nil {
		return 0, nil, err
	}
	var form struct{ TokenLabel string }
	if err := c.decode(&form); err != nil {
		return 0, nil, err
	}
	t := d.accounts.newToken(owner, form.TokenLabel)
	body := apiToken(t)
	body["token"] = t.token
	return http.StatusOK, body, nil
}

func (d *dtr) deleteToken(c *call) (int, any, error) {
	if !d.accounts.deleteToken(c.PathValue("id")) {
		return 0, nil, &dtrError{http.StatusNotFound, "NO_SUCH_API_TOKEN", "An API token with the given hash does not exist."}
	}
	return http.StatusOK, nil, nil
}
