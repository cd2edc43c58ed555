package metrics

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/middleware"
)

// What an operator does about more of an outcome than usual.
var outcomeRemedies = map[middleware.Outcome]string{
	middleware.OutcomeAllowed:            "Nothing.",
	middleware.OutcomeAnonymous:          "Nothing.",
	middleware.OutcomePreflight:          "Nothing.",
	middleware.OutcomeUnauthenticated:    "Some are normal: every login begins so. If clients do not come back with a token, the login fails elsewhere: fetch the metadata document that the challenge names, and log in at the authorization server that it names.",
	middleware.OutcomeInvalidRequest:     "Look at the proxy in front, and at the client: two Authorization fields, a token in the query, or text that is no token.",
	middleware.OutcomeInvalidToken:       "See the table of reasons.",
	middleware.OutcomeInsufficientScope:  "Some are normal: every step-up begins so. The panel of step-ups names the scopes; see GatehouseStepUpLoop.",
	middleware.OutcomeWeakAuthentication: "Some are normal: every step-up begins so. If they repeat, the provider does not send acr or auth_time, or does not offer what is asked for.",
	middleware.OutcomeForbiddenOrigin:    "Add the origin of your page to AllowedOrigins. Otherwise a foreign page calls, or a proxy changes Host on the way to a loopback resource.",
	middleware.OutcomeDenied:             "The panel of policies names the operation. `other` is one that the policy does not name: a new tool is denied until it is named.",
	middleware.OutcomeInvalidMessage:     "Look at the client that sends it, and at MaxBody for large ones; auth.error says what is wrong.",
	middleware.OutcomeUnavailable:        "See GatehouseUnavailable.",
	middleware.OutcomeCanceled:           "Clients give up while the provider is slow: look at the panel of verification times.",
	middleware.OutcomeEnded:              "`expired` is normal: clients come back with a new token. Others are revocations.",
}

var exchangeRemedies = map[exchange.Result]string{
	exchange.ResultRemembered:          "Nothing.",
	exchange.ResultObtained:            "Nothing.",
	exchange.ResultShared:              "Nothing.",
	exchange.ResultInvalidGrant:        "Some are normal: users log in again. If all fail, the provider does not take tokens of this issuer or for this client.",
	exchange.ResultInteractionRequired: "Nothing here: the client sends the user to the provider. If all users are asked, a policy of the provider's changed.",
	exchange.ResultRefused:             "Compare the Target with what the provider has for this client: the resource, the scopes, the right to exchange. exchange.error has the code.",
	exchange.ResultOurCredentials:      "See GatehouseExchangeCredentialsRefused.",
	exchange.ResultUnavailable:         "See GatehouseExchangeFailing.",
	exchange.ResultMisused:             "Mend the program; exchange.error says what is wrong.",
	exchange.ResultCanceled:            "Clients give up while the provider is slow: look at the panel of exchange times.",
}

// writeList makes a table of the constants of one type, of their comments, and of
// the remedies, which must be as many.
func writeList[T ~string](t *testing.T, page *strings.Builder, path, typeName string, remedies map[T]string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	page.WriteString("\n| value | meaning | remedy |\n|---|---|---|\n")
	rows := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typeName {
			value := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
			_, meaning, _ := strings.Cut(strings.Join(strings.Fields(spec.Doc.Text()), " "), ": ")
			remedy := remedies[T(value)]
			if meaning == "" || remedy == "" {
				t.Fatalf("%s %q: meaning %q, remedy %q", typeName, value, meaning, remedy)
			}
			fmt.Fprintf(page, "| `%s` | %s%s | %s |\n", value, strings.ToUpper(meaning[:1]), meaning[1:], remedy)
			rows++
		}
		return true
	})
	if rows != len(remedies) {
		t.Errorf("%d values of %s, %d remedies", rows, typeName, len(remedies))
	}
	page.WriteByte('\n')
}
