package scopes

// A class says what an operation of a method is judged by, besides Base and the
// rule of the method.
type class int

const (
	byNothing   class = iota // needs a rule for the method if the policy names anything
	byDiscovery              // Discovery
	byTool                   // Tools[Name]
	byPrompt                 // Prompts[Name]
	byResource               // Resources[Name]
	byReference              // Prompts[Name] or Resources[Name], as Ref says
	bySubject                // Resources[Name]; without a Name, Discovery
)

// methods are all methods of MCP 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25
// and 2026-07-28 with the tasks extension (SEP-2663). What is not here is judged
// byNothing. A method that reveals what another does has that one's rule.
var methods = []struct {
	name  string
	class class
	like  string
}{
	{"initialize", byDiscovery, ""},
	{"server/discover", byDiscovery, ""},
	{"ping", byDiscovery, ""},
	{"tools/list", byDiscovery, ""},
	{"prompts/list", byDiscovery, ""},
	{"resources/list", byDiscovery, ""},
	{"resources/templates/list", byDiscovery, ""},
	{"notifications/initialized", byDiscovery, ""},
	{"notifications/cancelled", byDiscovery, ""},
	{"notifications/progress", byDiscovery, ""},
	{"notifications/roots/list_changed", byDiscovery, ""},

	{"tools/call", byTool, ""},
	{"prompts/get", byPrompt, ""},
	{"resources/read", byResource, ""},
	{"resources/subscribe", byResource, "resources/read"},
	{"resources/unsubscribe", byResource, "resources/read"},
	{"subscriptions/listen", bySubject, "resources/read"},
	{"completion/complete", byReference, ""}, // like prompts/get or resources/read

	{"logging/setLevel", byNothing, ""},
	{"tasks/list", byNothing, ""},
	{"tasks/get", byNothing, ""},
	{"tasks/result", byNothing, ""},
	{"tasks/update", byNothing, ""},
	{"tasks/cancel", byNothing, ""},
	{"notifications/tasks/status", byNothing, ""},

	// Only servers send these.
	{"sampling/createMessage", byNothing, ""},
	{"elicitation/create", byNothing, ""},
	{"roots/list", byNothing, ""},
	{"notifications/message", byNothing, ""},
	{"notifications/tools/list_changed", byNothing, ""},
	{"notifications/prompts/list_changed", byNothing, ""},
	{"notifications/resources/list_changed", byNothing, ""},
	{"notifications/resources/updated", byNothing, ""},
	{"notifications/elicitation/complete", byNothing, ""},
	{"notifications/subscriptions/acknowledged", byNothing, ""},
	{"notifications/tasks", byNothing, ""},
}
