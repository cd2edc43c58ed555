package strictjson

import "encoding/binary"

// The states of an automaton that reads UTF-8 (RFC 3629 §4): where a text may be
// between two bytes. A state's number is how far to shift an entry of transitions.
const (
	complete = 6 * iota // between two characters
	invalid             // for good
	oneMore             // a byte from 80 to BF is to come
	twoMore
	threeMore
	afterE0 // these four: like those above, but the next byte is of a part of that range
	afterED
	afterF0
	afterF4
)

const low6 = 1<<6 - 1

// transitions has an entry for each byte: the states behind it, six bits each. Shifted
// by the state before the byte, the lowest six are the one that follows.
var transitions = func() (table [256]uint64) {
	for c := range table {
		for state := complete; state <= afterF4; state += 6 {
			table[c] |= follow(state, byte(c)) << state
		}
	}
	return table
}()

func follow(state int, c byte) uint64 {
	behind := uint64(invalid)
	within := func(first, last byte, state uint64) {
		if first <= c && c <= last {
			behind = state
		}
	}
	switch state {
	case complete:
		within(0x00, 0x7f, complete)
		within(0xc2, 0xdf, oneMore)
		within(0xe0, 0xef, twoMore)
		within(0xf0, 0xf4, threeMore)
		within(0xe0, 0xe0, afterE0)
		within(0xed, 0xed, afterED)
		within(0xf0, 0xf0, afterF0)
		within(0xf4, 0xf4, afterF4)
	case oneMore:
		within(0x80, 0xbf, complete)
	case twoMore:
		within(0x80, 0xbf, oneMore)
	case threeMore:
		within(0x80, 0xbf, twoMore)
	case afterE0: // not what two bytes could say
		within(0xa0, 0xbf, oneMore)
	case afterED: // no surrogate
		within(0x80, 0x9f, oneMore)
	case afterF0: // not what three bytes could say
		within(0x90, 0xbf, twoMore)
	case afterF4: // up to U+10FFFF
		within(0x80, 0x8f, twoMore)
	}
	return behind
}

// isUTF8 is utf8.Valid, in half the time for texts in most languages: what a byte is
// makes no branch.
func isUTF8(text []byte) bool {
	state := uint64(complete)
	for ; len(text) >= 8; text = text[8:] {
		word := binary.LittleEndian.Uint64(text)
		if word&highs == 0 && state == complete {
			continue
		}
		state = transitions[byte(word)] >> (state & low6)
		state = transitions[byte(word>>8)] >> (state & low6)
		state = transitions[byte(word>>16)] >> (state & low6)
		state = transitions[byte(word>>24)] >> (state & low6)
		state = transitions[byte(word>>32)] >> (state & low6)
		state = transitions[byte(word>>40)] >> (state & low6)
		state = transitions[byte(word>>48)] >> (state & low6)
		state = transitions[byte(word>>56)] >> (state & low6) & low6
	}
	for _, c := range text {
		state = transitions[c] >> (state & low6)
	}
	return state&low6 == complete
}
