package scopes_test

import (
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

func ExampleAny() {
	write := scopes.Any(scopes.All("files:read", "files:write"), scopes.All("admin"))
	granted, err := scopes.Parse("openid files:read")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(write.Allows(granted))
	fmt.Println("missing:", write.Missing(granted))
	fmt.Println("needed: ", write.Needed(granted))
	// Output:
	// false
	// missing: files:write
	// needed:  files:read files:write
}

func ExampleRequirement_Validate() {
	fmt.Println(scopes.All("files read", "offline_access").Validate())
	// Output:
	// scopes: "files read" is not a scope token (RFC 6749 §3.3)
	// scopes: "offline_access" cannot be required: it asks for a refresh token, which no resource sees
}

func ExampleHierarchy() {
	implied, err := scopes.Hierarchy{
		"admin":       {"files:write"},
		"files:write": {"files:read"},
	}.Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	granted, err := scopes.Of("admin")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(implied.Expand(granted))
	// Output: admin files:read files:write
}
