package simulator

import (
	"cmp"
	"net/http"
)

// metaAPI is the part of DTR's API about the cluster itself.
type metaAPI struct {
	members   *members
	scanner   *scanner
	migration *migration
	host      string // external address
	ucpHost   string
	caPEM     string
}

func (a metaAPI) routes() []dtrRoute {
	return []dtrRoute{
		{"GET /api/v0/docs.json", anyone, "", a.docs},
		{"GET /api/v0/admin/version", adminOnly, "", a.version},
		{"GET /api/v0/meta/settings", adminOnly, "", a.settings},
		{"GET /api/v0/meta/features", anyUser, "", a.features},
		{"GET /api/v0/meta/cluster_status", adminOnly, "", a.clusterStatus},
		{"GET /api/v0/meta/alerts", anyUser, "2.6", a.alerts},
	}
}

func (a metaAPI) docs(c *call) (int, any, error) {
	return http.StatusOK, map[string]any{
		"swagger": "2.0",
		"info":    map[string]any{"title": "Docker Trusted Registry", "version": c.replica.wireVersion()},
		"paths":   map[string]any{},
	}, nil
}

func (a metaAPI) version(c *call) (int, any, error) {
	return http.StatusOK, map[string]any{"version": c.replica.wireVersion()}, nil
}

// settings has the keys of the minor version of the replica that answers.
func (a metaAPI) settings(c *call) (int, any, error) {
	replicas := object{}
	for _, id := range a.members.replicas() {
		nginx, _ := a.members.component(id, "nginx")
		node := a.members.reports[id].node
		replicas[id] = object{
			"HTTPPort": cmp.Or(nginx.Ports[80], 80), "HTTPSPort": cmp.Or(nginx.Ports[443], 443), "node": cmp.Or(a.members.names[node], node),
		}
	}
	s := object{
		"anonymizeAnalytics": false, "createRepositoryOnPush": false, "disableBackupWarning": false,
		"dtrHost": a.host, "httpProxy": "", "httpsProxy": "", "jobHistoryToKeep": 0,
		"logHost": "", "logLevel": "INFO", "logProtocol": "internal", "nfsHost": "", "nfsPath": "", "noProxy": "",
		"replicaID": c.replica.id, "replicaSettings": replicas, "reportAnalytics": false,
		"scanningEnableAutoRecheck": false, "scanningEnabled": !a.scanner.faults.Disabled, "scanningSyncOnline": true, "sso": true,
		"storageVolume": "", "webTLSCA": a.caPEM, "webTLSCert": "",
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

// features shows that a cluster opted in to the migration before it is migrated.
// Online garbage collection is what the migration is for, and is on once it is done.
func (a metaAPI) features(c *call) (int, any, error) {
	f := object{
		"db_version": a.scanner.version, "mirroringLicensed": true, "promotionLicensed": true,
		"scanningEnabled": !a.scanner.faults.Disabled, "scanningLicensed": true, "ucpHost": a.ucpHost,
	}
	if c.replica.notBefore("2.5") {
		f["metadataStoreOptedIn"] = a.migration.optedIn
		f["onlineGCEnabled"] = a.migration.done
	}
	return http.StatusOK, f, nil
}

func (a metaAPI) alerts(*call) (int, any, error) { return http.StatusOK, []object{}, nil }

func (a metaAPI) clusterStatus(*call) (int, any, error) {
	now := a.members.now()
	a.members.refresh(now) // what is judged by this time was reported by then
	health, timestamps, readonly := object{}, object{}, object{}
	for _, id := range a.members.replicas() {
		r := a.members.reports[id]
		health[id] = a.members.word(r, now)
		timestamps[id] = formatTime(r.at)
		readonly[id] = false
	}
	return http.StatusOK, object{
		"replica_health": health, "replica_timestamp": timestamps, "replica_readonly": readonly,
		"gc_lock_holder": a.members.gcLock, "rethink_system_tables": databaseStatus{a.members}.tables(),
	}, nil
}
