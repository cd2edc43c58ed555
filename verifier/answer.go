package verifier

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// errAnswer is the class of answers that say nothing: whatever is wrong with
// them, the token may be good.
var errAnswer = errors.New("not an introspection answer")

// answer is what is read of an introspection answer (RFC 7662 §2.2), which is a
// set of claims and a few members more.
type answer struct {
	claims

	Username  strictjson.Value `json:"username"`
	TokenType strictjson.Value `json:"token_type"`

	// Members of single providers, which tell an access token from a refresh
	// token where token_type does not: Ory, OpenIddict, Keycloak.
	TokenUse   strictjson.Value `json:"token_use"`
	TokenUsage strictjson.Value `json:"token_usage"`
	Typ        strictjson.Value `json:"typ"`
}

// active reads the one required member. It is the JSON literal true or false;
// whoever writes it otherwise may mean either (RFC 7662 §2.2).
func active(body []byte) (bool, error) {
	var head struct {
		Active strictjson.Value `json:"active"`
	}
	if strictjson.Object(body, &head) != nil {
		return false, fmt.Errorf("%w: not one strict JSON object", errAnswer)
	}
	switch head.Active.Kind() {
	case 't':
		return true, nil
	case 'f':
		return false, nil
	}
	return false, fmt.Errorf("%w: active is neither true nor false", errAnswer)
}

// answerJudge says what an answer must be for its token to be good here.
type answerJudge struct {
	issuer    string
	audiences []string
	clients   []string // not empty: these only
	ours      bool     // active means: for this resource
	leeway    time.Duration
	lifetime  time.Duration // of an answer without exp
	custom    func(*Token) error
}

// judge returns the token that an active answer describes. lasting reports that
// the answer names no end.
func (j *answerJudge) judge(body []byte, now time.Time) (_ *Token, lasting bool, err error) {
	var a answer
	switch err := strictjson.Object(body, &a); {
	case err == nil:
	case strictjson.Valid(err):
		return nil, false, j.refuse(ReasonClaims, "a member of the answer has the wrong type")
	default:
		return nil, false, fmt.Errorf("%w: not one strict JSON object", errAnswer)
	}
	if a.Issuer != "" && a.Issuer != j.issuer {
		return nil, false, j.refuse(ReasonIssuer, "iss in the answer is not the Issuer that was asked")
	}
	if reason, hint := a.kind(); reason != "" {
		return nil, false, j.refuse(reason, hint)
	}
	if lasting = a.Expiry == nil; lasting {
		a.Expiry = strconv.AppendInt(nil, now.Add(j.lifetime).Unix()+1, 10)
	}
	expiry, issued, reason, hint := a.judgeTimes(now, j.leeway)
	if reason != "" {
		return nil, false, j.refuse(reason, hint)
	}
	granted, ok := a.grants(body, "")
	if !ok {
		return nil, false, j.refuse(ReasonClaims, "scope has characters that no scope has (RFC 6749 §3.3)")
	}
	token := Token{
		Issuer: j.issuer, Subject: a.Subject, ClientID: cmp.Or(a.ClientID, a.Azp), ID: a.ID,
		Scopes: granted, Expiry: expiry, IssuedAt: issued,
	}.hold("", &record{slices.Clone(body), SourceIntrospection})
	if token.Audience, ok = a.audience(); !ok {
		return nil, false, j.refuse(ReasonClaims, "aud is neither a string nor an array of strings")
	}
	if token.Actor, ok = actor(a.Act); !ok {
		return nil, false, j.refuse(ReasonClaims, "act is not an object that names an actor (RFC 8693 §4.1)")
	}
	if j.custom != nil {
		if err := token.judgedBy(j.custom); err != nil {
			return nil, false, j.judged(err)
		}
	}
	if token.Subject == "" && a.names(token.ClientID) {
		token.Subject = token.ClientID
	}
	if err := j.bind(token); err != nil {
		return nil, false, err
	}
	if a.Confirm != nil {
		return nil, false, j.refuse(ReasonConfirmation, "the token is bound to a key (cnf), and proofs are not supported here")
	}
	return token, lasting, nil
}

// bind checks who the token is for and whose it is.
func (j *answerJudge) bind(token *Token) error {
	switch {
	case strings.TrimSpace(token.Subject) == "":
		return j.refuse(ReasonClaims, "the answer has neither sub nor, for a token of a client's own, client_id alone")
	case !identifier(token.Subject) || !identifier(token.ClientID) || !identifier(token.ID):
		return j.refuse(ReasonClaims, "an identifier has control characters")
	case len(j.clients) > 0 && !slices.Contains(j.clients, token.ClientID):
		return j.refuse(ReasonAudience, "client_id is not among ClientIDs")
	case len(token.Audience) > 0 && !names(token.Audience, j.audiences):
		return j.refuse(ReasonAudience, "aud does not name this resource; register it at the provider, or list the provider's value in Audiences")
	case len(token.Audience) == 0 && !j.ours && len(j.clients) == 0:
		return j.refuse(ReasonAudience, "the answer has no aud; have the provider send it, or state by ClientIDs or AnswersAreOurs what binds its answers to this resource")
	case len(token.Audience) == 0:
		// The configuration vouches for what the answer leaves out.
		token.Audience = j.audiences[:1:1]
	}
	return nil
}

func (j *answerJudge) refuse(reason Reason, hint string) error {
	return &InvalidTokenError{Reason: reason, Hint: hint, Issuer: j.issuer}
}

// judged gives an error of the configured rule its class.
func (j *answerJudge) judged(err error) error {
	if invalid, ok := errors.AsType[*InvalidTokenError](err); ok {
		return j.refuse(invalid.Reason, invalid.Hint)
	}
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return j.refuse(ReasonProvider, "refused by the configured rule")
}

// audience reads aud. An empty array and null name nobody, as no aud does.
func (a *answer) audience() ([]string, bool) {
	if a.Audience == nil || a.Audience.Kind() == 'n' {
		return nil, true
	}
	return list(a.Audience)
}

// names reports whether the answer is about the client itself. One that names a
// user without sub must not make all users of a client one subject.
func (a *answer) names(client string) bool {
	user, ok := word(a.Username)
	return ok && (user == "" || user == client)
}

// kind refuses tokens that are active and yet no bearer access tokens: a server
// calls its refresh tokens active as well, whatever token_type_hint says.
func (a *answer) kind() (Reason, string) {
	tokenType, known := word(a.TokenType)
	use, ok := word(a.TokenUse)
	known = known && ok
	usage, ok := word(a.TokenUsage)
	known = known && ok
	typ, ok := word(a.Typ)
	known = known && ok
	tokenType, typ = strings.ToLower(tokenType), mediaType(typ)
	audience, _ := a.audience() // a wrong form is refused either way
	switch {
	case tokenType == "dpop" || tokenType == "pop" || typ == "dpop": // RFC 9449 §6.2
		return ReasonConfirmation, "the token is bound to a key, and proofs are not supported here"
	case !known,
		!slices.Contains([]string{"", "bearer", "access_token", "urn:ietf:params:oauth:token-type:access_token"}, tokenType),
		!slices.Contains([]string{"", "access_token", "access"}, use),
		!slices.Contains([]string{"", "access_token"}, usage),
		!slices.Contains([]string{"", "bearer", "at+jwt", "jwt", "access_token"}, typ):
		return ReasonType, "the answer describes another kind of token than a bearer access token"
	case len(audience) == 0 && tokenType == "" && use == "" && usage == "" && typ == "":
		// What oidc-provider says of a refresh token.
		return ReasonType, "the answer has neither aud nor token_type: nothing says that it is about an access token"
	}
	if kind := a.foreign(tokenType == "bearer"); kind != "" {
		return ReasonType, kind
	}
	return "", ""
}

// word reads a string, "" where there is none or null.
func word(v strictjson.Value) (s string, ok bool) {
	if v == nil || v.Kind() == 'n' {
		return "", true
	}
	if v.Kind() != '"' || strictjson.Unmarshal(v, &s) != nil {
		return "", false
	}
	return s, true
}
