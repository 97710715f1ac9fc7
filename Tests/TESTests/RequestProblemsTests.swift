import TES
import Testing

/// How much is told of a request with many problems, and what finding them takes.
@Suite struct RequestProblemsTests {
    @Test func keepsTheFirstProblemOfEachPlace() {
        var problems = RequestProblems()
        problems.add("/a", "is one")
        problems.add("/a", "is two")
        problems.add("/a/b", "is three")
        #expect(problems.told.map(\.description) == ["/a is one", "/a/b is three"])
        #expect(problems.contains("/a") && !problems.contains("/b"))
    }

    @Test func rulesSayNothingOfWhatWasNotRead() {
        var problems = RequestProblems()
        problems.addUnread("/inputs/1", "must be an object")
        for pointer in ["/inputs/1", "/inputs/1/path", "/inputs/1/a/b"] { problems.add(pointer, "is required") }
        for pointer in ["/inputs/10/path", "/inputs", "", "?view"] { problems.add(pointer, "is wrong") }
        #expect(problems.first.map(\.pointer) == ["/inputs/1", "/inputs/10/path", "/inputs", "", "?view"])
    }

    @Test func aDocumentThatIsNoObjectHidesNothing() {
        var problems = RequestProblems()
        problems.addUnread("", "must be an object")
        problems.add("/name", "is required")
        #expect(problems.first.count == 2)
    }

    @Test func asManyAsAreToldAreAll() {
        var problems = RequestProblems()
        for number in 0..<RequestProblems.most { problems.add("/\(number)", "is wrong") }
        #expect(!problems.hasMore)
        #expect(problems.told == problems.first)
        // What is known, or lies in what was not read, is not one more.
        problems.add("/0", "is wrong, too")
        #expect(!problems.hasMore)
        problems.add("/one-more", "is wrong")
        #expect(problems.hasMore)
        #expect(problems.first.count == RequestProblems.most)
        #expect(problems.told.last?.description == "and more: these are the first 200 problems")
    }

    static let documents = [
        ("executors", "{}", "/executors/0/image"), ("inputs", "1", "/inputs/0"), ("volumes", "null", "/volumes/0"),
        ("executors", #"{"image":5,"command":[1]}"#, "/executors/0/image"),
    ]

    /// A million values that cannot be read: what is kept of them does not grow with their number.
    @Test(arguments: documents)
    func readingStopsToKeepValuesOnceItHasEnoughProblems(_ member: String, _ item: String, _ first: String) throws {
        var text = Array("{\"\(member)\":[\(item)".utf8)
        let more = Array(",\(item)".utf8)
        for _ in 1..<1_000_000 { text += more }
        var reader = JSONReader(text + Array("]}".utf8), purpose: .request)
        let task = try #require(try reader.document(TESTask.self))
        #expect(
            task.executors.count + (task.inputs ?? []).count + (task.volumes ?? []).count <= RequestProblems.most + 1)
        #expect(reader.problems.hasMore)
        #expect(reader.problems.first.count == RequestProblems.most)
        #expect(reader.problems.first.first?.pointer == first)
    }

    @Test func malformedTextIsFoundBehindAMillionProblems() {
        let text = "{\"volumes\":[" + String(repeating: "1,", count: 1_000_000) + "1,]}"
        #expect(throws: JSONSyntaxError.self) { try Reading(text, as: TESTask.self, .request) }
    }

    /// A million values that rules refuse.
    @Test func validationEndsOnceItHasEnoughProblems() {
        var task = TESTask(executors: Array(repeating: TESExecutor(image: "", command: []), count: 1_000_000))
        task.resources = TESResources(cpuCores: -1)
        var problems = RequestProblems()
        let time = ContinuousClock().measure { task.validate(&problems, at: "") }
        #expect(problems.hasMore)
        #expect(problems.first.map(\.pointer).prefix(2) == ["/resources/cpu_cores", "/executors/0/image"])
        #expect(problems.first.count == RequestProblems.most)
        // Whole, it takes more than a second.
        #expect(time < .milliseconds(500))
    }
}
