import TaskCore
import Testing

@Suite("Path pattern")
struct PathPatternTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var pattern: String
        var path: String
        var isMatch: Bool

        init(_ pattern: String, _ path: String, _ isMatch: Bool = true) {
            self.pattern = pattern
            self.path = path
            self.isMatch = isMatch
        }

        var testDescription: String { "\(pattern) \(isMatch ? "matches" : "leaves") \(path)" }
    }

    static let segments = [
        Case("/work/*.txt", "/work/a.txt"), Case("/work/*.txt", "/work/.txt", false),
        Case("/work/*.txt", "/work/a/b.txt", false), Case("/work/*", "/work/a"), Case("/work/*", "/work", false),
        Case("/work/a*b*c", "/work/abc"), Case("/work/a*b*c", "/work/aXbYbZc"), Case("/work/a*b*c", "/work/aXc", false),
        Case("/work/?", "/work/a"), Case("/work/?", "/work/é"), Case("/work/?", "/work/ab", false),
        Case("/work/a?c", "/work/a/c", false), Case("/*/out", "/work/out"), Case("/*/out", "/work/x/out", false),
        Case("/work/a.txt", "/work/a.txt"), Case("/work/a.txt", "/work/aXtxt", false),
        Case("/work//*.txt", "/work/a.txt"), Case("/work/**.txt", "/work/a.txt"), Case("/work/***", "/work/a"),
    ]

    static let dots = [
        Case("/work/*", "/work/.hidden", false), Case("/work/?hidden", "/work/.hidden", false),
        Case("/work/[.]hidden", "/work/.hidden", false), Case("/work/.*", "/work/.hidden"),
        Case("/work/.h*", "/work/.hidden"), Case("/work/a*", "/work/a.b"), Case("/*/x", "/.git/x", false),
        Case("/**/x", "/a/.git/x", false), Case("/**/.git/x", "/a/.git/x"), Case("/work/**", "/work/.hidden", false),
    ]

    static let brackets = [
        Case("/w/[abc]", "/w/b"), Case("/w/[abc]", "/w/d", false), Case("/w/[a-f]", "/w/c"),
        Case("/w/[a-f]", "/w/g", false),
        Case("/w/[a-fx0-9]", "/w/7"), Case("/w/[a-fx0-9]", "/w/x"), Case("/w/[!a-f]", "/w/z"),
        Case("/w/[!a-f]", "/w/c", false),
        Case("/w/[^a-f]", "/w/z"), Case("/w/[^a-f]", "/w/a", false), Case("/w/[]x]", "/w/]"), Case("/w/[!]]", "/w/a"),
        Case("/w/[!]]", "/w/]", false), Case("/w/[a-]", "/w/-"), Case("/w/[-a]", "/w/-"),
        Case("/w/[a-]", "/w/b", false),
        Case("/w/[*]", "/w/*"), Case("/w/[*]", "/w/a", false), Case("/w/[?]", "/w/?"), Case("/w/[{]", "/w/{"),
        Case("/w/[abc", "/w/[abc"), Case("/w/[abc", "/w/a", false), Case("/w/a[", "/w/a["), Case("/w/[", "/w/["),
        Case("/w/x[0-9][0-9]y", "/w/x42y"), Case("/w/x[0-9][0-9]y", "/w/x4y", false), Case("/w/[\\]]", "/w/]"),
        Case("/w/[é]", "/w/é"),
    ]

    static let classes = [
        ("alpha", "aZ", "1_ "), ("digit", "09", "a٣"), ("alnum", "a9", "-_"), ("upper", "AZ", "a1"),
        ("lower", "az", "A1"),
        ("space", " \t", "a"), ("blank", " \t", "\na"), ("punct", "!-_.$+", "a1 "), ("xdigit", "0aF", "g"),
        ("cntrl", "\u{1}\u{7f}", "a "), ("graph", "a!1", " \u{1}"), ("print", "a! ", "\u{1}\u{7f}"),
    ]

    static let folders = [
        Case("/w/**", "/w/a"), Case("/w/**", "/w/a/b/c"), Case("/w/**", "/x/a", false), Case("/w/**/x", "/w/x"),
        Case("/w/**/x", "/w/a/x"), Case("/w/**/x", "/w/a/b/x"), Case("/w/**/x", "/w/a/b/y", false),
        Case("/w/**/*.txt", "/w/a.txt"), Case("/w/**/*.txt", "/w/a/b.txt"), Case("/**/b/**/d", "/a/b/c/d"),
        Case("/**/b/**/d", "/b/d"), Case("/**/b/**/d", "/a/c/d", false), Case("/**/b/c", "/b/x/b/c"),
        Case("/**/**/c", "/c"), Case("/w/a**", "/w/ab"), Case("/w/a**", "/w/a/b", false), Case("/**", "/a/b"),
        Case("/**/a/b/**/.h/x", "/a/b/a/b/c/.h/x"),
    ]

    static let braces = [
        Case("/w/{a,b}.txt", "/w/a.txt"), Case("/w/{a,b}.txt", "/w/b.txt"), Case("/w/{a,b}.txt", "/w/c.txt", false),
        Case("/w/{a,b}.txt", "/w/{a,b}.txt", false), Case("/w/a{,.gz}", "/w/a"), Case("/w/a{,.gz}", "/w/a.gz"),
        Case("/w/{a,b{c,d}}", "/w/bd"), Case("/w/{a,b{c,d}}", "/w/a"), Case("/w/{a,b{c,d}}", "/w/b", false),
        Case("/w/{a,b}{1,2}", "/w/b1"), Case("/{w,v/u}/x", "/v/u/x"), Case("/w/{a}", "/w/{a}"),
        Case("/w/{a}", "/w/a", false),
        Case("/w/{a,b", "/w/{a,b"), Case("/w/a}", "/w/a}"), Case("/w/{a{b,c}", "/w/{ab"),
        Case("/w/*.{t,c}sv", "/w/x.tsv"),
        Case("/w/{}", "/w/{}"), Case("/w/{x}{a,b}", "/w/{x}a"),
    ]

    static let quotes = [
        Case("/w/\\*", "/w/*"), Case("/w/\\*", "/w/a", false), Case("/w/\\?", "/w/?"), Case("/w/\\[a]", "/w/[a]"),
        Case("/w/\\{a,b\\}", "/w/{a,b}"), Case("/w/\\{a,b}", "/w/{a,b}"), Case("/w/{a\\,b,c}", "/w/a,b"),
        Case("/w/{a\\,b,c}", "/w/c"), Case("/w/{a\\,b,c}", "/w/a", false), Case("/w/\\\\", "/w/\\"),
        Case("/w/a\\b", "/w/ab"),
        Case("/w/\\.h*", "/w/.hidden"), Case("/w/a\\", "/w/a\\"),
    ]

    @Test(arguments: segments + dots + brackets + folders + braces + quotes)
    func matchesAsAShellDoes(_ example: Case) {
        #expect(PathPattern(example.pattern).matches(example.path) == example.isMatch)
    }

    @Test(arguments: classes)
    func knowsPOSIXClasses(_ name: String, _ members: String, _ others: String) {
        let pattern = PathPattern("/w/x[[:\(name):]]")
        let negated = PathPattern("/w/x[![:\(name):]]")
        for member in members {
            #expect(pattern.matches("/w/x\(member)"), "\(member.debugDescription) is in [:\(name):]")
            #expect(!negated.matches("/w/x\(member)"))
        }
        for other in others {
            #expect(!pattern.matches("/w/x\(other)"), "\(other.debugDescription) is not in [:\(name):]")
            #expect(negated.matches("/w/x\(other)"))
        }
    }

    @Test func classesStandBesideCharactersAndRanges() {
        let pattern = PathPattern("/w/[[:digit:]_a-c]")
        #expect(["/w/5", "/w/_", "/w/b"].allSatisfy(pattern.matches))
        #expect(!pattern.matches("/w/:") && !pattern.matches("/w/d"))
    }

    @Test(arguments: [
        ("/work/*.txt", "/work"), ("/work/a/b*/c", "/work/a"), ("/work/a.txt", "/work"), ("/*", "/"), ("/**/x", "/"),
        ("/work/**", "/work"), ("/work/{a,b}/x", "/work"), ("/work/a{b,c}", "/work"), ("/work/sub/{a,b}", "/work/sub"),
        ("/{work,work/x}/y", "/work"), ("/work/\\*/x*", "/work/*"), ("/work/a\\[b/x?", "/work/a[b"),
        ("/work/[a]/x", "/work"),
        ("/a/b/{c/d,c/e}/f", "/a/b/c"), ("/work//x*", "/work"),
    ])
    func everyMatchLiesInTheFixedPrefix(_ pattern: String, _ prefix: String) {
        #expect(PathPattern(pattern).fixedPrefix == prefix)
    }

    @Test(arguments: [
        ("/work/a", false), ("/work/*", true), ("/work/?", true), ("/work/[a]", true), ("/work/{a,b}", true),
        ("/work/\\*", false), ("/work/\\\\*", true), ("", false),
    ])
    func tellsNamesFromPatterns(_ path: String, _ hasWildcards: Bool) {
        #expect(PathPattern.hasWildcards(path) == hasWildcards)
    }

    /// Hostile patterns must not take for ever: each of these is exponential for a careless matcher.
    @Test(
        .timeLimit(.minutes(5)),
        arguments: [
            ("/" + String(repeating: "a*", count: 200) + "b", "/" + String(repeating: "a", count: 250)),
            (String(repeating: "/**/a", count: 200) + "/b", String(repeating: "/a", count: 400)),
            (String(repeating: "/**", count: 400) + "/b", String(repeating: "/a", count: 400)),
            ("/" + String(repeating: "{a,b}", count: 200), "/" + String(repeating: "c", count: 200)),
            ("/" + String(repeating: "{", count: 1_000_000), "/a"),
        ])
    func hostilePatternsEnd(_ pattern: String, _ path: String) {
        #expect(!PathPattern(pattern).matches(path))
    }

    @Test(arguments: [
        ("/a/{..,b}/*", true), (#"/a/\.\./*"#, true), ("/a/..b/*", false), ("/a/{b,c}/*", false), ("/{a/..,b}/*", true),
    ])
    func climbingIsSeenInEveryAlternative(_ pattern: String, _ climbs: Bool) {
        #expect(PathPattern(pattern).climbs == climbs)
    }

    @Test(arguments: [("/a/*", 2), ("/a/*/b/*.txt", 4), ("/{a,b/c}/*", 3), ("/a/**/b", nil)] as [(String, Int?)])
    func matchesHaveADepth(_ pattern: String, _ depth: Int?) {
        #expect(PathPattern(pattern).maximumDepth == depth)
    }
}
