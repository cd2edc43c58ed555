package strictjson

import (
	"encoding/binary"
	"math/bits"
)

// Eight bytes at once: in a word, every byte's least and highest bit.
const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks, in a word, the highest bit of every byte that ends a run of
// plain characters: quote, backslash, control. With one bit turned over, the quote
// is where the space was, right above the controls. A byte above the first such one
// may be marked wrongly; nobody looks that far.
func special(word uint64) uint64 {
	turned, backslash := word^('"'^' ')*lows, word^'\\'*lows
	return ((turned - (' '+1)*lows) | (backslash - lows)) &^ word & highs
}

// scanString reads a string behind its first quotation mark (RFC 8259 §7), and
// returns where it ends behind its last; 0 if it does not. Lone surrogates are not
// UTF-8 (§8.1).
func scanString(data []byte, start int) (end int, escaped bool) {
	var seen uint64 // all bytes, or-ed
	run := start    // where plain characters began
	for i := start; i < len(data); {
		if len(data)-i >= 8 {
			word := binary.LittleEndian.Uint64(data[i:])
			seen |= word
			marks := special(word)
			if marks == 0 {
				if i += 8; i-run >= long {
					i, seen = scanPlain(data, i, seen)
				}
				continue
			}
			i += bits.TrailingZeros64(marks) / 8
		}
		switch c := data[i]; {
		case c == '"':
			if seen&highs != 0 && !isUTF8(data[start:i]) {
				return 0, false
			}
			return i + 1, escaped
		case c == '\\':
			escaped = true
			for i < len(data) && data[i] == '\\' {
				if len(data)-i > 1 && letters[data[i+1]] {
					i += 2
					continue
				}
				size := scanUnicode(data[i:])
				if size == 0 {
					return 0, false
				}
				i += size
			}
			run = i
		case c < ' ':
			return 0, false
		default: // the last bytes of data
			seen |= uint64(c)
			i++
		}
	}
	return 0, false
}

// long is from where on scanPlain pays.
const long = 32

// scanPlain returns where the plain characters at i end, or up to 31 bytes before
// that, and adds them to seen.
func scanPlain(data []byte, i int, seen uint64) (int, uint64) {
	for ; len(data)-i >= 32; i += 32 {
		block := data[i : i+32 : i+32]
		a, b := binary.LittleEndian.Uint64(block), binary.LittleEndian.Uint64(block[8:])
		c, d := binary.LittleEndian.Uint64(block[16:]), binary.LittleEndian.Uint64(block[24:])
		if special(a)|special(b)|special(c)|special(d) != 0 {
			break
		}
		seen |= a | b | c | d
	}
	return i, seen
}

// letters are what may follow a backslash, besides u.
var letters = [256]bool{'"': true, '\\': true, '/': true, 'b': true, 'f': true, 'n': true, 'r': true, 't': true}

// scanUnicode returns the length of the escape by number that data begins with, or
// of the pair that makes one character; 0 if there is none.
func scanUnicode(data []byte) int {
	if len(data) < 2 || data[1] != 'u' {
		return 0
	}
	first, ok := hex4(data[2:])
	switch {
	case !ok || first >= 0xdc00 && first <= 0xdfff:
		return 0
	case first < 0xd800 || first > 0xdfff:
		return 6
	case len(data) < 8 || data[6] != '\\' || data[7] != 'u':
		return 0
	}
	if second, ok := hex4(data[8:]); !ok || second < 0xdc00 || second > 0xdfff {
		return 0
	}
	return 12
}

func hex4(data []byte) (value rune, ok bool) {
	if len(data) < 4 {
		return 0, false
	}
	for _, c := range data[:4] {
		digit := rune(c)
		switch {
		case c >= '0' && c <= '9':
			digit -= '0'
		case c >= 'a' && c <= 'f':
			digit -= 'a' - 10
		case c >= 'A' && c <= 'F':
			digit -= 'A' - 10
		default:
			return 0, false
		}
		value = value<<4 | digit
	}
	return value, true
}

// scanScalar returns where the literal or number at start ends; start if there
// is none.
func scanScalar(data []byte, start int) int {
	size := 0
	switch rest := data[start:]; rest[0] {
	case 't':
		if len(rest) >= 4 && string(rest[:4]) == "true" {
			size = 4
		}
	case 'f':
		if len(rest) >= 5 && string(rest[:5]) == "false" {
			size = 5
		}
	case 'n':
		if len(rest) >= 4 && string(rest[:4]) == "null" {
			size = 4
		}
	default:
		return scanNumber(data, start)
	}
	return start + size
}

// scanNumber implements the grammar of RFC 8259 §6. What may follow a number is
// its container's business.
func scanNumber(data []byte, start int) int {
	i := start
	if data[i] == '-' {
		i++
	}
	whole := scanDigits(data, i)
	if whole == i || data[i] == '0' && whole > i+1 {
		return start
	}
	i = whole
	if i < len(data) && data[i] == '.' {
		fraction := scanDigits(data, i+1)
		if fraction == i+1 {
			return start
		}
		i = fraction
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		exponent := scanDigits(data, i)
		if exponent == i {
			return start
		}
		i = exponent
	}
	return i
}

func scanDigits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}
