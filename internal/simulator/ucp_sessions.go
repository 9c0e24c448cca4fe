package simulator

import "slices"

// sessions are the logins to UCP that count. UCP limits how many there are of a
// user: with one more, that which was not used for longest ends.
type sessions struct {
	limit int
	used  []session // the one that was used last comes last
}

type session struct{ token, user string }

func (s *sessions) begin(token, user string) {
	s.used = append(s.used, session{token, user})
	of := func(o session) bool { return o.user == user }
	count := 0
	for _, o := range s.used {
		if of(o) {
			count++
		}
	}
	if count > s.limit {
		oldest := slices.IndexFunc(s.used, of)
		s.used = slices.Delete(s.used, oldest, oldest+1)
	}
}

// use reports whether there is such a session, which is then the one used last.
func (s *sessions) use(token string) bool {
	i := slices.IndexFunc(s.used, func(o session) bool { return o.token == token })
	if i < 0 {
		return false
	}
	used := s.used[i]
	s.used = append(slices.Delete(s.used, i, i+1), used)
	return true
}
