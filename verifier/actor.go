package verifier

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// An Actor is who acts for the subject of a token (RFC 8693 §4.1), for example a
// server that exchanged its user's token. It prints, logs and marshals redacted.
// Treat it as immutable.
type Actor struct {
	// Issuer says where Subject is known. Empty: at the token's own issuer.
	Issuer string
	// Subject names the actor; empty where the provider names only ClientID.
	Subject string
	// ClientID is the actor's OAuth client, where the provider says it.
	ClientID string
	// Earlier are those who acted before, the latest first. They are history: RFC
	// 8693 §4.1 forbids to decide by them.
	Earlier []Actor
}

// actorClaim is the value of act and of may_act (RFC 8693 §4.1, §4.4).
type actorClaim struct {
	Issuer   string           `json:"iss"`
	Subject  string           `json:"sub"`
	ClientID string           `json:"client_id"`
	Act      strictjson.Value `json:"act"`
}

// actor reads act. ok is false for anything but an object that names somebody:
// whoever judges actors must not take such a token for the user's own. The reader
// of the claims has bounded the depth.
func actor(claim strictjson.Value) (*Actor, bool) {
	if claim == nil {
		return nil, true
	}
	outermost, next, ok := oneActor(claim)
	if !ok {
		return nil, false
	}
	for next != nil {
		var earlier Actor
		if earlier, next, ok = oneActor(next); !ok {
			return nil, false
		}
		outermost.Earlier = append(outermost.Earlier, earlier)
	}
	return &outermost, true
}

func oneActor(claim strictjson.Value) (_ Actor, next strictjson.Value, ok bool) {
	var a actorClaim
	if strictjson.Object(claim, &a) != nil || a.Subject == "" && a.ClientID == "" ||
		!identifier(a.Issuer) || !identifier(a.Subject) || !identifier(a.ClientID) {
		return Actor{}, nil, false
	}
	return Actor{Issuer: a.Issuer, Subject: a.Subject, ClientID: a.ClientID}, a.Act, true
}

// MayAct returns who may act for the subject (RFC 8693 §4.4), and false where the
// token does not say, or says it in no form that can be read. It is advice for the
// authorization server that exchanges the token, and no sign that anybody acts.
func (t *Token) MayAct() (Actor, bool) {
	var c struct {
		MayAct strictjson.Value `json:"may_act"`
	}
	if t.Claims(&c) != nil || c.MayAct == nil {
		return Actor{}, false
	}
	named, _, ok := oneActor(c.MayAct)
	return named, ok
}

const redactedActor = "verifier.Actor(redacted)"

// String returns a constant.
func (a Actor) String() string { return redactedActor }

// Format writes a constant, whatever the verb.
func (a Actor) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedActor) }

// LogValue returns a constant, for log/slog.
func (a Actor) LogValue() slog.Value { return slog.StringValue(redactedActor) }

// MarshalJSON returns a constant.
func (a Actor) MarshalJSON() ([]byte, error) { return json.Marshal(redactedActor) }
