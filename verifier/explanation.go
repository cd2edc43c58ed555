package verifier

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A CheckState says how a check of an Explanation went.
type CheckState string

// The closed list of CheckStates.
const (
	// CheckPassed and CheckFailed: the check was made.
	CheckPassed CheckState = "passed"
	CheckFailed CheckState = "failed"
	// CheckUnknown: the provider could not be asked.
	CheckUnknown CheckState = "unknown"
	// CheckNotReached: an earlier one left nothing to check, or nothing that may
	// be believed.
	CheckNotReached CheckState = "not_reached"
)

// A Check is one line of an Explanation.
type Check struct {
	// Name names the check within its Explanation.
	Name string `json:"name"`
	// Reason is with what a token is refused that does not pass.
	Reason Reason `json:"reason,omitempty"`
	// State says how it went.
	State CheckState `json:"state"`
	// Expected and Found are texts for the operator. What comes from the token is
	// quoted, in ASCII, and cut.
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
	// Fix says what to change; empty unless State is CheckFailed.
	Fix string `json:"fix,omitempty"`
}

// An Explanation says why a token is accepted or refused, check by check in the
// order in which they are made. It is for operators, and never for the wire.
//
// Of the token it shows kid, alg, typ, iss, aud, scope, tenant and times. These
// name systems, permissions and moments; without the token, which whoever asks
// has already, they open nothing. It never shows the token, its signature, sub,
// client_id, jti or any other claim.
type Explanation struct {
	// Accepted reports that the token is good, as Verify says.
	Accepted bool `json:"accepted"`
	// Reason is Verify's; empty where it accepts, or cannot judge.
	Reason Reason `json:"reason,omitempty"`
	// Unavailable is why the token could not be judged; empty otherwise.
	Unavailable string `json:"unavailable,omitempty"`
	// Checks are all checks. The first that failed decides; those after it were
	// made as far as they can be, so that one look finds every mistake.
	Checks []Check `json:"checks"`
}

// Decisive returns the check because of which the token is refused, and false
// where there is none.
func (e Explanation) Decisive() (Check, bool) {
	for _, check := range e.Checks {
		if check.State == CheckFailed {
			return check, true
		}
	}
	return Check{}, false
}

// String returns the Explanation as lines of text.
func (e Explanation) String() string {
	var b strings.Builder
	switch {
	case e.Accepted:
		b.WriteString("accepted\n")
	case e.Unavailable != "":
		b.WriteString("cannot be judged: " + e.Unavailable + "\n")
	default:
		b.WriteString("refused: " + string(e.Reason) + "\n")
	}
	for _, check := range e.Checks {
		fmt.Fprintf(&b, "%-12s %s", check.State, check.Name)
		if check.Expected != "" {
			b.WriteString("; expected " + check.Expected)
		}
		if check.Found != "" {
			b.WriteString("; found " + check.Found)
		}
		if check.Fix != "" {
			b.WriteString("; fix: " + check.Fix)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// verdict returns the Explanation of a verdict of which only the error is known.
func verdict(err error) Explanation {
	var e explainer
	return e.conclude(err)
}

// explainer collects checks.
type explainer struct{ checks []Check }

func (e *explainer) check(ok bool, c Check) {
	c.State = CheckPassed
	if !ok {
		c.State = CheckFailed
		if c.Fix == "" {
			c.Fix = c.Reason.Remedy()
		}
	} else {
		c.Fix = ""
	}
	e.checks = append(e.checks, c)
}

// missed notes checks that cannot be made.
func (e *explainer) missed(names ...Check) {
	for _, c := range names {
		c.State, c.Fix = CheckNotReached, ""
		e.checks = append(e.checks, c)
	}
}

// conclude takes the verdict from err, which is Verify's: whatever the checks
// above make of it, the answer is the one that a client gets.
func (e *explainer) conclude(err error) Explanation {
	explanation := Explanation{Accepted: err == nil, Checks: e.checks}
	refused, isRefusal := errors.AsType[*InvalidTokenError](err)
	switch {
	case err == nil:
		return explanation
	case isRefusal:
		explanation.Reason = refused.Reason
	case errors.Is(err, ErrInvalidToken):
		explanation.Reason = ReasonUnspecified
	default:
		explanation.Unavailable = unavailableText(err)
		return explanation
	}
	if decisive, ok := explanation.Decisive(); !ok || decisive.Reason != explanation.Reason {
		verdict := Check{
			Name: "verifier", Reason: explanation.Reason, State: CheckFailed,
			Expected: "a token that the verifier accepts", Found: explanation.Reason.Meaning(), Fix: explanation.Reason.Remedy(),
		}
		if isRefusal && refused.Hint != "" {
			verdict.Fix = refused.Hint
		}
		explanation.Checks = append([]Check{verdict}, e.checks...)
	}
	return explanation
}

// unavailableText repeats errors of this package only.
func unavailableText(err error) string {
	if outage, ok := errors.AsType[*UnavailableError](err); ok {
		return outage.Error()
	}
	return fmt.Sprintf("an error of type %T", err)
}

const (
	maxShown     = 200 // octets of one value
	maxShownList = 8   // values of a list
)

// show quotes what anybody may have written: ASCII, one line, and cut.
func show(s string) string {
	if s == "" {
		return "nothing"
	}
	if len(s) > maxShown {
		return strconv.QuoteToASCII(s[:maxShown]) + " (cut)"
	}
	return strconv.QuoteToASCII(s)
}

func showAll(values []string) string {
	if len(values) == 0 {
		return "nothing"
	}
	var shown []string
	for i, value := range values {
		if i == maxShownList {
			shown = append(shown, fmt.Sprintf("and %d more", len(values)-i))
			break
		}
		if value == "" {
			shown = append(shown, `""`)
			continue
		}
		shown = append(shown, show(value))
	}
	return strings.Join(shown, ", ")
}

func showTime(t time.Time, now time.Time) string {
	if distance := t.Sub(now).Round(time.Second); distance < 0 {
		return fmt.Sprintf("%s (%s ago)", t.UTC().Format(time.RFC3339), -distance)
	} else {
		return fmt.Sprintf("%s (in %s)", t.UTC().Format(time.RFC3339), distance)
	}
}
