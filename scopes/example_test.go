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

func ExamplePolicy() {
	rules, err := scopes.Policy{
		Base:      scopes.All("mcp"),
		Discovery: scopes.Public(),
		Tools: map[string]scopes.Requirement{
			"public_info": scopes.Public(),
			"write_file":  scopes.Any(scopes.All("files:write"), scopes.All("admin")),
		},
		Resources: map[string]scopes.Requirement{
			"file:///public/*": scopes.All("files:read"),
		},
	}.Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, op := range []scopes.Operation{
		{Method: "tools/list"},
		{Method: "tools/call", Name: "public_info"},
		{Method: "tools/call", Name: "write_file"},
		{Method: "tools/call", Name: "delete_file"},
		{Method: "resources/read", Name: "file:///public/a"},
		{Method: "resources/read", Name: "file:///public/../a"},
	} {
		needs, allowed := rules.Judge(op)
		fmt.Printf("%s %s: allowed %t, public %t, needs %q\n", op.Method, op.Name, allowed, needs.IsPublic(), needs.Scopes())
	}
	// Output:
	// tools/list : allowed true, public true, needs ""
	// tools/call public_info: allowed true, public true, needs ""
	// tools/call write_file: allowed true, public false, needs "admin files:write mcp"
	// tools/call delete_file: allowed false, public false, needs ""
	// resources/read file:///public/a: allowed true, public false, needs "files:read mcp"
	// resources/read file:///public/../a: allowed false, public false, needs ""
}
