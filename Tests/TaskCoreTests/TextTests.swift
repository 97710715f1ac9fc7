import TaskCore
import Testing

@Suite("Text")
struct TextTests {
    @Test(arguments: [
        ("plain", "plain"), ("", ""), ("a\0b", "a\u{FFFD}b"), ("\0\0", "\u{FFFD}\u{FFFD}"), ("é\0", "é\u{FFFD}"),
        ("\0\u{301}", "\u{FFFD}\u{301}"), ("\r\n\0\r\n", "\r\n\u{FFFD}\r\n"), ("a\u{1B}[31m", "a\u{1B}[31m"),
    ])
    func recordedTextHoldsNoNUL(_ text: String, _ recorded: String) {
        #expect(recordable(text) == recorded)
        #expect(!recordable(text).utf8.contains(0))
    }

    @Test func brokenUTF8IsRecordedAsReplacementCharacters() {
        #expect(recordable(String(decoding: [0x61, 0xFF, 0x00, 0xC3], as: UTF8.self)) == "a\u{FFFD}\u{FFFD}\u{FFFD}")
    }

    @Test(arguments: [
        ("plain é 漢 😀", "plain é 漢 😀"), ("\u{1B}[31mred", "\\u{1b}[31mred"), ("a\nb\tc", "a\\u{a}b\\u{9}c"),
        ("a\rb", "a\\u{d}b"), ("\u{7F}\u{9B}", "\\u{7f}\\u{9b}"), ("\u{202E}gpj", "\\u{202e}gpj"),
        ("\u{2028}", "\\u{2028}"),
        ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"), ("\0", "\\u{0}"), ("\u{A0}", "\u{A0}"), ("", ""),
    ])
    func shownTextGivesNoOrdersToATerminal(_ text: String, _ shown: String) {
        #expect(printable(text) == shown)
    }

    @Test func newlinesAndTabsStayWhereAskedFor() {
        #expect(printable("a\n\tb\u{1B}\r\n", keepingNewlines: true) == "a\n\tb\\u{1b}\\u{d}\n")
    }
}

@Suite("Container path")
struct ContainerPathTests {
    @Test(arguments: [
        ("/", "/"), ("/a/b", "/a/b"), ("/a/b/", "/a/b"), ("//a///b", "/a/b"), ("/a/./b/.", "/a/b"),
        ("/a..b/c..", "/a..b/c.."),
        ("/.hidden", "/.hidden"), ("/...", "/..."),
    ])
    func isNormalized(_ path: String, _ normalized: String) {
        #expect(ContainerPath.normalized(path) == normalized)
    }

    @Test(arguments: ["", "a/b", "./a", "/..", "/a/../b", "/a/..", "../a", "/a\0b"])
    func escapingAndRelativePathsAreRefused(_ path: String) {
        #expect(ContainerPath.normalized(path) == nil)
    }

    @Test(arguments: [("/a/b/c", "/a/b", "c"), ("/a", "/", "a"), ("/", "/", "")])
    func hasAParentAndAName(_ path: String, _ parent: String, _ name: String) {
        #expect(ContainerPath.parent(path) == parent)
        #expect(ContainerPath.name(path) == name)
    }

    @Test(arguments: [
        ("/a", "/a", true), ("/a", "/a/b", true), ("/a", "/ab", false), ("/a/b", "/a", false), ("/", "/a", true),
        ("/", "/", true),
    ])
    func containment(_ folder: String, _ path: String, _ isInside: Bool) {
        #expect(ContainerPath.contains(folder, path) == isInside)
    }
}
