import Glibc

/// A file operation that the system refused.
package struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    package var operation: String
    package var path: String
    /// errno(3)
    package var code: Int32

    package init(_ operation: String, _ path: String, code: Int32 = errno) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    /// `cannot open /a/b: Permission denied`
    package var description: String { "cannot \(operation) \(path): \(reason)" }

    package var reason: String {
        switch code {
        case ELOOP: "it is a symbolic link that may not be followed"
        case EXDEV: "it leads out of its folder"
        case notRegular: "it is no regular file"
        default: String(cString: strerror(code))
        }
    }

    package var isMissing: Bool { code == ENOENT || code == ENOTDIR }
    package var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }
    package var isDenied: Bool { code == EACCES || code == EPERM }
}

/// Not one of the system's: the path is a FIFO, a device, a socket or a directory where a regular file is wanted.
let notRegular: Int32 = -1
