import SpecDocument
import SpecGenerator
import YAML

/// One document for libFuzzer: it is refused with diagnostics, or code comes of it; both without a crash.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzYAML(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let text = String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    guard let node = try? parseYAML(text, file: "fuzz.yaml") else { return 0 }
    let pipeline = GeneratorPipeline()
    let input = GeneratorPipeline.Input(document: "fuzz.yaml", files: ["fuzz.yaml": node])
    _ = try? pipeline.generate(.types, from: input)
    _ = try? pipeline.generate(.description, from: input)
    // The same text as an overlay and as the tables of a document that is whole.
    _ = try? Overlay(node).apply(to: node)
    return 0
}
