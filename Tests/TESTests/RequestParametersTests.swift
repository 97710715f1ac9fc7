import TES
import Testing

@Suite struct RequestParametersTests {
    @Test(arguments: [
        ("a=1", "1"), ("a=1&a=2", "2"), ("a=1&a=", "1"), ("a=", nil), ("a", nil), ("", nil), ("b=1", nil), ("A=1", nil),
        ("a=x%20y+z", "x y z"), ("a=%2B", "+"), ("a=%c3%A9", "\u{e9}"), ("%61=1", "1"), ("a=b=c", "b=c"),
        ("&&a=1&", "1"),
        ("a=%26%3D", "&="),
    ])
    func aValueIsDecodedAndTheLastOneCounts(_ query: String, _ value: String?) throws {
        let parameters = RequestParameters(path: [:], query: query)
        #expect(parameters.string("a") == value)
        try parameters.check()
    }

    @Test func repeatedValuesKeepTheirOrderAndEmptyOnesTheirPlace() {
        let parameters = RequestParameters(path: [:], query: "k=a&v=1&k=b&v=&k=c%20d&k&v=3")
        #expect(parameters.strings("k") == ["a", "b", "c d", ""])
        #expect(parameters.strings("v") == ["1", "", "3"])
        #expect(parameters.strings("x") == [])
    }

    @Test(arguments: ["a=%", "a=%4", "a=%zz", "a=%ff", "a=%00", "a=%c3", "a=%2", "%00=1", "a=%+1"])
    func badEncodingIsAProblem(_ query: String) {
        let parameters = RequestParameters(path: [:], query: query + "&b=1")
        #expect(parameters.string("b") == "1")
        let name = query.prefix { $0 != "=" }
        let error = #expect(throws: InvalidRequest.self) { try parameters.check() }
        #expect(error?.problems == [RequestProblem("?" + name, "is not valid percent-encoded UTF-8 text")])
    }

    @Test(arguments: [("1", 1), ("10", 10), ("007", 7), ("5", 5)] as [(String, Int32)])
    func numbersWithinBoundsAreRead(_ text: String, _ value: Int32) throws {
        var parameters = RequestParameters(path: [:], query: "n=\(text)")
        #expect(parameters.int32("n", minimum: 1, maximum: 10) == value)
        try parameters.check()
    }

    @Test(arguments: ["0", "11", "-1", "1.0", "1e1", "x", "2147483648", "9999999999999999999999", "+1", "%201"])
    func otherNumbersAreAProblem(_ text: String) {
        var parameters = RequestParameters(path: [:], query: "n=\(text)")
        #expect(parameters.int32("n", minimum: 1, maximum: 10) == nil)
        let error = #expect(throws: InvalidRequest.self) { try parameters.check() }
        #expect(error?.problems == [RequestProblem("?n", "must be a whole number from 1 to 10")])
    }

    @Test func longNumbersAreRead() throws {
        var parameters = RequestParameters(path: [:], query: "n=9223372036854775807&m=-1")
        #expect(parameters.int64("n") == .max)
        try parameters.check()
        #expect(parameters.int64("m", minimum: 0) == nil)
        #expect(throws: InvalidRequest.self) { try parameters.check() }
    }

    @Test(
        arguments: [
            ("view=FULL", true, .full), ("view=full", true, .full), ("view=Basic", true, .basic), ("view=", true, nil),
            ("view=FULL", false, .full),
        ] as [(String, Bool, TESView?)])
    func enumValuesAreRead(_ query: String, _ ignoresCase: Bool, _ value: TESView?) throws {
        var parameters = RequestParameters(path: [:], query: query)
        #expect(parameters.enumeration("view", TESView.self, ignoresCase: ignoresCase) == value)
        try parameters.check()
    }

    @Test(arguments: [("view=full", false), ("view=ALL", true), ("view=FULL%20", true)])
    func otherEnumValuesAreAProblem(_ query: String, _ ignoresCase: Bool) {
        var parameters = RequestParameters(path: [:], query: query)
        #expect(parameters.enumeration("view", TESView.self, ignoresCase: ignoresCase) == nil)
        let error = #expect(throws: InvalidRequest.self) { try parameters.check() }
        #expect(error?.problems == [RequestProblem("?view", "must be MINIMAL, BASIC or FULL")])
    }

    @Test func pathValuesAreDecodedButAPlusStays() {
        let parameters = RequestParameters(path: ["id": "a%2Fb+c", "bad": "%zz"], query: "")
        #expect(parameters.path("id") == "a/b+c")
        #expect(parameters.path("bad") == "%zz")
        #expect(parameters.path("other") == "")
    }
}

@Suite struct PercentCodingTests {
    @Test(arguments: [
        ("", ""), ("abc-._~XYZ09", "abc-._~XYZ09"), ("a b", "a%20b"), ("/?#[]@", "%2F%3F%23%5B%5D%40"),
        ("\u{e9}\u{1f600}", "%C3%A9%F0%9F%98%80"), ("100%", "100%25"), ("a+b", "a%2Bb"), ("\u{0}", "%00"),
    ])
    func encodesAllButUnreservedCharactersAndDecodesAgain(_ text: String, _ encoded: String) {
        #expect(percentEncoded(text) == encoded)
        #expect(percentDecoded(encoded) == text)
        #expect(percentDecoded(encoded, plusIsSpace: true) == text)
    }

    @Test func keepsWhatItIsToldTo() {
        #expect(percentEncoded("a/b:c d", keeping: "/:") == "a/b:c%20d")
    }

    @Test func aPlusIsASpaceOnlyInQueries() {
        #expect(percentDecoded("a+b") == "a+b")
        #expect(percentDecoded("a+b", plusIsSpace: true) == "a b")
    }

    @Test(arguments: ["%", "%4", "%g0", "%0g", "%ff", "%ed%a0%80", "%c0%80", "a%"])
    func refuses(_ text: String) {
        #expect(percentDecoded(text) == nil)
    }
}
