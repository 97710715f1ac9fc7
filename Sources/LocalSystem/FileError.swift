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

    /// errno of work that was broken off because nobody wants it any more.
    package static let cancelled = ECANCELED

    package var isMissing: Bool { code == ENOENT || code == ENOTDIR }
    package var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }
    /// What lies there is not what is wanted, or is closed to this user: looking again would show the same.
    package var isUnusable: Bool {
        [ELOOP, EXDEV, ENXIO, EISDIR, EEXIST, ENODEV, EACCES, EPERM, ENAMETOOLONG, notRegular].contains(code)
    }
}

/// Not one of the system's: the path is a FIFO, a device, a socket or a directory where a regular file is wanted.
let notRegular: Int32 = -1
