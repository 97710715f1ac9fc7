import Testing
import YAML

@Suite struct YAMLParserTests {
    @Test func keepsLineAndColumnOfEachNode() throws {
        let root = try parseYAML("a: 1\nlist:\n  - x\n  -   {deep: yes}\n", file: "f.yaml")
        #expect(root.location == SourceLocation(file: "f.yaml", line: 1, column: 1))
        #expect(root["a"]?.location.description == "f.yaml:1:4")
        #expect(root.entries?[1].key.location.description == "f.yaml:2:1")
        let items = try #require(root["list"]?.items)
        #expect(items.map(\.location.description) == ["f.yaml:3:5", "f.yaml:4:7"])
        #expect(items[1]["deep"]?.location.description == "f.yaml:4:14")
    }

    @Test(arguments: [
        ("null", "null"), ("~", "null"), ("", "null"), ("true", "a boolean"), ("False", "a boolean"),
        ("12", "a number"), ("1.5e3", "a number"), ("abc", "text"), ("'true'", "text"), ("\"12\"", "text"),
        ("!!str 12", "text"), ("[]", "a sequence"), ("{}", "a mapping"),
    ])
    func tellsScalarsApart(_ text: String, _ kind: String) throws {
        let root = try parseYAML("value: \(text)\n", file: "f.yaml")
        #expect(try #require(root["value"]).kindName == kind)
    }

    @Test func readsJSON() throws {
        let root = try parseYAML(#"{"a": [1, true, null, "x\u00e9"], "b": {"c": -2}}"#, file: "f.json")
        let items = try #require(root["a"]?.items)
        #expect(items[0].integer == 1)
        #expect(items[1].bool == true)
        #expect(items[2].isNull)
        #expect(items[3].text == "x\u{e9}")
        #expect(root["b"]?["c"]?.integer == -2)
    }

    @Test func foldsAndKeepsBlockText() throws {
        let root = try parseYAML("folded: >-\n  one\n  two\nliteral: |\n  one\n  two\n", file: "f.yaml")
        #expect(root["folded"]?.text == "one two")
        #expect(root["literal"]?.text == "one\ntwo\n")
    }

    @Test func anEmptyFileIsNull() throws {
        #expect(try parseYAML("", file: "f.yaml").isNull)
        #expect(try parseYAML("# only a comment\n", file: "f.yaml").isNull)
    }

    @Test func replacesAnAliasByWhatItStandsFor() throws {
        let root = try parseYAML("first: &a {x: 1}\nsecond: *a\nscalar: &s text\nagain: [*s, *s]\n", file: "f.yaml")
        #expect(root["second"] == root["first"])
        #expect(root["again"]?.items?.map(\.text) == ["text", "text"])
    }

    @Test func aLaterAnchorOfTheSameNameWins() throws {
        let root = try parseYAML("[&a one, *a, &a two, *a]", file: "f.yaml")
        #expect(root.items?.map(\.text) == ["one", "one", "two", "two"])
    }

    @Test(arguments: [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: error: the key \"a\" appears twice in this mapping"),
        ("x: {k: 1, 'k': 2}\n", "f.yaml:1:11: error: the key \"k\" appears twice in this mapping"),
        ("? [a]\n: b\n", "f.yaml:1:3: error: a key must be a scalar, not a sequence"),
        ("a: *b\n", "f.yaml:1:4: error: the alias *b has no anchor before it"),
        ("a: &a [*a]\n", "f.yaml:1:8: error: the alias *a has no anchor before it"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: error: the file holds more than one document; only one is read"),
        ("a: [1, 2\n", "f.yaml:2:1: error: did not find expected ',' or ']'"),
        ("a: b: c\n", "f.yaml:1:5: error: mapping values are not allowed in this context"),
        ("a:\n\t- 1\n", "f.yaml:2:1: error: found character that cannot start any token"),
    ])
    func refusesWithThePlace(_ text: String, _ message: String) {
        let error = #expect(throws: YAMLError.self) { try parseYAML(text, file: "f.yaml") }
        #expect(error?.description == message)
    }

    @Test func refusesAnAliasBomb() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            let items = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            text += "a\(level): &a\(level) [\(items)]\n"
        }
        let error = #expect(throws: YAMLError.self) { try parseYAML(text, file: "f.yaml") }
        #expect(error?.message == "the document is nested too deeply or too large")
    }

    @Test(arguments: [(150, true), (250, false), (100_000, false)])
    func refusesDeepNesting(_ depth: Int, _ isRead: Bool) {
        let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        let result = Result { try parseYAML(text, file: "f.yaml") }
        switch result {
        case .success: #expect(isRead)
        case .failure(let error):
            #expect(!isRead)
            #expect((error as? YAMLError)?.message == "the document is nested too deeply or too large")
        }
    }
}
