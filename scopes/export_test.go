package scopes

// Methods returns the table of methods with the number of each one's class.
func Methods() map[string]int {
	all := make(map[string]int, len(methods))
	for _, m := range methods {
		all[m.name] = int(m.class)
	}
	return all
}

// MethodEntries is the length of the table, repetitions included.
func MethodEntries() int { return len(methods) }

// The classes that a test tells apart.
const (
	ByNothing   = int(byNothing)
	ByDiscovery = int(byDiscovery)
)

// Ambiguity is ambiguity.
func Ambiguity(uri string) string { return ambiguity(uri) }
