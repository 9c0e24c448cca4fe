package simulator

import (
	"slices"
	"sync"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// accounts are the users of UCP, who are also those of DTR.
type accounts struct {
	admin string           // the name of the administrator
	now   func() time.Time // by DTR's clock

	mu     sync.Mutex
	users  map[string]*user
	tokens []*accessToken
}

type user struct {
	name, password string
	admin          bool
}

// accessToken replaces a user's password, at DTR only.
type accessToken struct {
	owner, token, hashed, label string
	created, used               time.Time
}

func newAccounts(admin, password string) *accounts {
	return &accounts{admin: admin, users: map[string]*user{admin: {admin, password, true}}}
}

func (a *accounts) check(name, password string) (user, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.users[name]
	if u == nil || u.password != password {
		return user{}, false
	}
	return *u, true
}

// checkDTR is check for DTR, which accepts an access token in place of the password.
func (a *accounts) checkDTR(name, secret string) (user, bool) {
	if u, ok := a.check(name, secret); ok {
		return u, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.tokens {
		if u := a.users[name]; u != nil && t.owner == name && t.token == secret {
			t.used = a.now()
			return *u, true
		}
	}
	return user{}, false
}

func (a *accounts) newToken(owner, label string) accessToken {
	token := newID()
	t := &accessToken{owner: owner, token: token, hashed: release.StableID("token", token), label: label, created: a.now()}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens = append(a.tokens, t)
	return *t
}

func (a *accounts) listTokens(owner string) []accessToken {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []accessToken
	for _, t := range a.tokens {
		if t.owner == owner {
			list = append(list, *t)
		}
	}
	return list
}

func (a *accounts) deleteToken(hashed string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := len(a.tokens)
	a.tokens = slices.DeleteFunc(a.tokens, func(t *accessToken) bool { return t.hashed == hashed })
	return len(a.tokens) < before
}

// SetPassword changes the administrator's password. Tokens stay valid.
func (a *accounts) SetPassword(password string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users[a.admin].password = password
}

// AddUser adds a user who is not an administrator.
func (a *accounts) AddUser(name, password string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users[name] = &user{name: name, password: password}
}
