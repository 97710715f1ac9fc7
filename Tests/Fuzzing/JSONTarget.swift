import TES

/// One document for libFuzzer: what reads as a task is written, and reads as the same task again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJSON(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    for purpose in [JSONReader.Purpose.request, .answer] {
        var reader = JSONReader(bytes, purpose: purpose)
        guard let task = try? reader.document(TESTask.self), reader.problems.isEmpty else { continue }
        var problems = RequestProblems()
        task.validate(&problems, at: "")
        let written = JSONWriter.encode(task)
        var again = JSONReader(written, purpose: .answer)
        guard let same = try? again.document(TESTask.self), again.problems.isEmpty else {
            fatalError("what was written does not read: \(String(decoding: written, as: UTF8.self))")
        }
        // Empty arrays and maps are written as nothing.
        guard JSONWriter.encode(same) == written else { fatalError("two readings differ") }
    }
    return 0
}
