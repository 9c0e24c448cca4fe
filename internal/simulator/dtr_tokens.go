package simulator

import (
	"net/http"
)

// tokenAPI is the part of DTR's API about access tokens.
type tokenAPI struct{ accounts *accounts }

func (a tokenAPI) routes() []dtrRoute {
	return []dtrRoute{
		{"GET /api/v0/api_tokens", anyUser, "2.5", a.list},
		{"POST /api/v0/api_tokens", anyUser, "2.5", a.add},
		{"DELETE /api/v0/api_tokens/{id}", anyUser, "2.5", a.remove},
	}
}

// apiToken is an access token as the API shows it, without the secret.
func apiToken(t accessToken) object {
	return object{
		"createdAt": formatTime(t.created), "lastUsed": formatTime(t.used), "creatorUa": "", "generatedBy": "user",
		"hashedToken": t.hashed, "isActive": true, "tokenLabel": t.label,
	}
}

func (a tokenAPI) list(c *call) (int, any, error) {
	owner, err := c.tokenOwner()
	if err != nil {
		return 0, nil, err
	}
	list := []object{}
	for _, t := range a.accounts.listTokens(owner) {
		list = append(list, apiToken(t))
	}
	return http.StatusOK, list, nil
}

func (a tokenAPI) add(c *call) (int, any, error) {
	owner, err := c.tokenOwner()
	if err != nil {
		return 0, nil, err
	}
	var form struct{ TokenLabel string }
	if err := c.decode(&form); err != nil {
		return 0, nil, err
	}
	t := a.accounts.newToken(owner, form.TokenLabel)
	body := apiToken(t)
	body["token"] = t.token
	return http.StatusOK, body, nil
}

func (a tokenAPI) remove(c *call) (int, any, error) {
	if !a.accounts.deleteToken(c.PathValue("id")) {
		return 0, nil, &dtrError{http.StatusNotFound, "NO_SUCH_API_TOKEN", "An API token with the given hash does not exist."}
	}
	return http.StatusOK, nil, nil
}
