import TES
import Testing

/// Malformed text by RFC 8259, and what is refused beyond it.
@Suite struct JSONSyntaxTests {
    @Test(arguments: [
        ("", 0, "the document is empty"),
        ("  \n", 3, "the document is empty"),
        ("\u{FEFF}{}", 0, "starts with a byte-order mark"),
        ("{} {}", 3, "something follows the end of the document"),
        ("{}x", 2, "something follows the end of the document"),
        ("{", 1, "expected a member's name in quotation marks"),
        ("{\"name\":\"a\",}", 12, "a comma before the end of an object or array"),
        ("{\"volumes\":[\"/a\",]}", 17, "a comma before the end of an object or array"),
        ("{\"x\":[1,]}", 8, "a comma before the end of an object or array"),
        ("{\"x\":[,1]}", 6, "expected a value"),
        ("{,}", 1, "expected a member's name in quotation marks"),
        ("{name:1}", 1, "expected a member's name in quotation marks"),
        ("{'name':1}", 1, "expected a member's name in quotation marks"),
        ("{\"name\" \"a\"}", 8, "expected a colon after a member's name"),
        ("{\"name\":\"a\" \"id\":1}", 12, "expected a comma"),
        ("{\"name\":\"a\"", 11, "the document ends too early"),
        ("{\"name\":}", 8, "expected a value"),
        ("{\"name\":\"a\",\"name\":\"b\"}", 12, "the name \"name\" appears twice in one object"),
        ("{\"x\":{\"k\":1,\"\\u006b\":2}}", 12, "the name \"k\" appears twice in one object"),
        ("{\"tags\":{\"k\":\"1\",\"k\":\"2\"}}", 17, "the name \"k\" appears twice in one object"),
        ("{\"name\":\"a", 10, "text without a closing quotation mark"),
        ("{\"name\":\"a\\", 11, "text without a closing quotation mark"),
        ("{\"name\":\"a\nb\"}", 10, "a control character in text must be written as an escape"),
        ("{\"name\":\"\\n\u{1}\"}", 11, "a control character in text must be written as an escape"),
        ("{\"name\":\"\\x41\"}", 11, "an escape that JSON does not know"),
        ("{\"name\":\"\\u00g1\"}", 13, "expected four hexadecimal digits"),
        ("{\"name\":\"\\ud800\"}", 15, "half of a surrogate pair"),
        ("{\"name\":\"\\ud800\\u0041\"}", 21, "half of a surrogate pair"),
        ("{\"name\":\"\\udc00\"}", 15, "half of a surrogate pair"),
        ("{\"x\":01}", 6, "expected a comma"),
        ("{\"x\":-01}", 7, "expected a comma"),
        ("{\"x\":-}", 6, "expected a digit"),
        ("{\"x\":1.}", 7, "expected a digit"),
        ("{\"x\":1e}", 7, "expected a digit"),
        ("{\"x\":1e+}", 8, "expected a digit"),
        ("{\"x\":.5}", 5, "expected a value"),
        ("{\"x\":+1}", 5, "expected a value"),
        ("{\"x\":0x10}", 6, "expected a comma"),
        ("{\"x\":NaN}", 5, "expected a value"),
        ("{\"x\":Infinity}", 5, "expected a value"),
        ("{\"x\":-Infinity}", 6, "expected a digit"),
        ("{\"x\":nul}", 8, "expected null"),
        ("{\"x\":nulll}", 9, "expected a comma"),
        ("{\"x\":True}", 5, "expected a value"),
        ("{\"x\":trve}", 7, "expected true"),
        ("{\"x\":[1}", 7, "expected a comma"),
        ("{} // comment", 3, "something follows the end of the document"),
        ("{/* comment */}", 1, "expected a member's name in quotation marks"),
        ("nil", 1, "expected null"),
    ])
    func refuses(_ text: String, at offset: Int, because message: String) {
        let error = #expect(throws: JSONSyntaxError.self) { try Reading(text, as: TESTask.self, .answer) }
        #expect(error?.offset == offset)
        #expect(error?.message == message)
    }

    @Test(
        arguments: [
            [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
            [0x22, 0x5C, 0x6E, 0xE2, 0x82, 0x22],
        ] as [[UInt8]])
    func refusesTextThatIsNoUTF8(_ value: [UInt8]) {
        let bytes = Array("{\"name\":".utf8) + value + [0x7D]
        let error = #expect(throws: JSONSyntaxError.self) { try Reading(bytes, as: TESTask.self, .answer) }
        #expect(error?.message == "text that is not valid UTF-8")
    }

    @Test(arguments: [
        ("\"\"", ""), ("\"a\\\"b\\\\c\\/d\"", "a\"b\\c/d"), ("\"\\b\\f\\n\\r\\t\"", "\u{8}\u{c}\n\r\t"),
        ("\"\\u0041\\u00e9\\u20AC\"", "A\u{e9}\u{20ac}"), ("\"\\ud83d\\ude00\"", "\u{1f600}"),
        ("\"\\uD83D\\uDE00x\"", "\u{1f600}x"), ("\"\u{1f600} \u{7f}\"", "\u{1f600} \u{7f}"),
        ("\"\\uffff\\udbff\\udfff\"", "\u{ffff}\u{10ffff}"),
    ])
    func readsEscapes(_ text: String, _ value: String) throws {
        let task = try #require(try Reading("{\"name\":\(text)}", as: TESTask.self, .answer).value)
        #expect(task.name.map { Array($0.utf8) } == Array(value.utf8))
    }

    @Test(arguments: [(63, true), (64, false), (100_000, false)])
    func refusesDeepNesting(_ depth: Int, _ isRead: Bool) {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let inner = String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
            let result = Result { try Reading("{\"x\":\(inner)}", as: TESTask.self, .answer) }
            switch result {
            case .success: #expect(isRead)
            case .failure(let error):
                #expect(!isRead)
                #expect((error as? JSONSyntaxError)?.message == "nested more than 64 deep")
            }
        }
    }

    @Test func depthIsGivenBackAtTheEndOfACollection() throws {
        let item = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        #expect(try Reading("{\"x\":[\(item),\(item),{},\(item)]}", as: TESTask.self, .answer).problems == [])
    }

    @Test func spaceIsAllowedBetweenTokens() throws {
        let text = " \t\r\n{ \"name\" : \"a\" , \"volumes\" : [ \"/v\" , \"/w\" ] , \"tags\" : { } , \"x\" : [ ] } \n"
        let reading = try Reading(text, as: TESTask.self, .answer)
        #expect(reading.value == TESTask(name: "a", volumes: ["/v", "/w"], tags: [:]))
    }
}
