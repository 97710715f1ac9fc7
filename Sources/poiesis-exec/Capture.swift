import Glibc

/// Keeps head and tail of a stream in two files of fixed size, up to date at every moment: they survive an OOM kill.
///
/// `NAME.head` grows to its limit; `NAME.tail` is a ring behind eight bytes that count, little-endian, all bytes after the head.
struct Capture {
    private let head: Int32
    private let tail: Int32
    private let half: Int
    private var total = 0

    init(folder: String, name: String, limit: Int) {
        let flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW
        head = open("\(folder)/\(name).head", flags, 0o666)
        tail = open("\(folder)/\(name).tail", flags, 0o666)
        half = max(1, limit / 2)
    }

    /// A full disk loses captured text, never the program's run.
    mutating func add(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        if total < half {
            let first = rest.prefix(half - total)
            put(head, Array(first), at: total)
            total += first.count
            rest = rest.dropFirst(first.count)
        }
        guard !rest.isEmpty else { return }
        // Of more than a ring full, only the last part matters.
        let skipped = max(0, rest.count - half)
        var place = (total - half + skipped) % half
        var piece = rest.dropFirst(skipped)
        while !piece.isEmpty {
            let part = piece.prefix(half - place)
            put(tail, Array(part), at: 8 + place)
            place = (place + part.count) % half
            piece = piece.dropFirst(part.count)
        }
        total += rest.count
        var count = UInt64(total - half).littleEndian
        _ = withUnsafeBytes(of: &count) { pwrite(tail, $0.baseAddress, 8, 0) }
    }

    /// Head and tail of a file that the program wrote itself.
    mutating func cut(from path: String) {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return }
        let size = Int(status.st_size)
        var buffer = [UInt8](repeating: 0, count: half)
        let first = pread(file, &buffer, half, 0)
        if first > 0 { add(buffer[..<first]) }
        guard size > half else { return }
        let start = max(half, size - half)
        // What lies between is only counted.
        total = start
        let last = pread(file, &buffer, size - start, off_t(start))
        if last > 0 { add(buffer[..<last]) }
    }

    private func put(_ file: Int32, _ bytes: [UInt8], at offset: Int) {
        _ = bytes.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, off_t(offset)) }
    }
}
