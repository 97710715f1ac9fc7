import TaskCore
import Testing

@Suite("Container path, byte by byte")
struct ContainerPathByteTests {
    /// A slash with a combining mark is one character for Swift, and two for the kernel.
    private static let mark = "\u{301}"

    @Test func isCutAtBytes() {
        #expect(ContainerPath.segments("/a/\(Self.mark)b//c/") == ["a", "\(Self.mark)b", "c"])
        #expect(ContainerPath.parent("/a/\(Self.mark)b") == "/a" && ContainerPath.parent("/\(Self.mark)") == "/")
        #expect(ContainerPath.name("/a/\(Self.mark)b") == "\(Self.mark)b")
        #expect(ContainerPath.normalized("/\(Self.mark)a/../b") == nil)
        #expect(ContainerPath.normalized("/a/./\(Self.mark)") == "/a/\(Self.mark)")
    }

    @Test func containmentIsOfBytes() {
        #expect(ContainerPath.contains("/a", "/a/\(Self.mark)b") && ContainerPath.contains("/", "/\(Self.mark)"))
        // The same letter in two spellings is two folders.
        #expect(!ContainerPath.contains("/\u{E9}", "/e\(Self.mark)/x") && !ContainerPath.contains("/a", "/ab"))
        #expect(ContainerPath.below("/a", "/a/b") == "/b" && ContainerPath.below("/a", "/a") == "")
        #expect(ContainerPath.below("/", "/a") == "/a" && ContainerPath.below("/a", "/ab") == nil)
    }
}
