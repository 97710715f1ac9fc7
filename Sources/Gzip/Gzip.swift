import CLibZ

/// Compresses a stream as gzip (RFC 1952), by zlib.
package final class GzipWriter {
    private let stream: UnsafeMutablePointer<z_stream>

    /// - Parameter level: 1, quick, to 9, small.
    package init(level: Int = 1) {
        // zlib keeps a pointer to its stream, so that it must not move.
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 16 asks for gzip's header and trailer.
        let status = deflateInit2_(
            stream, Int32(level), Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib has no memory")
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// What the bytes so far give; the rest comes with later calls.
    ///
    /// - Parameter isLast: ends the stream.
    package func write(_ bytes: [UInt8], isLast: Bool = false) -> [UInt8] {
        var input = bytes
        return input.withUnsafeMutableBufferPointer { input in
            stream.pointee.next_in = input.baseAddress
            stream.pointee.avail_in = UInt32(input.count)
            var output: [UInt8] = []
            var isFull = true
            while isFull {
                let part = [UInt8](unsafeUninitializedCapacity: 16384) { buffer, count in
                    stream.pointee.next_out = buffer.baseAddress
                    stream.pointee.avail_out = UInt32(buffer.count)
                    deflate(stream, isLast ? Z_FINISH : Z_NO_FLUSH)
                    count = buffer.count - Int(stream.pointee.avail_out)
                    isFull = stream.pointee.avail_out == 0
                }
                output += part
            }
            return output
        }
    }
}

/// Why gzip data could not be inflated.
package enum GzipError: Error, Hashable, Sendable {
    /// It is no gzip data, or it is cut short.
    case damaged
    /// It inflates to more than the limit.
    case tooLarge
}

/// Inflates gzip data of one or more members.
///
/// - Parameter limit: most bytes that may come out; no more memory than that is used.
package func gunzip(_ bytes: [UInt8], limit: Int) throws(GzipError) -> [UInt8] {
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    stream.initialize(to: z_stream())
    defer { stream.deallocate() }
    guard inflateInit2_(stream, MAX_WBITS + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
        throw .damaged
    }
    defer { inflateEnd(stream) }
    var input = bytes
    var output: [UInt8] = []
    let failure = input.withUnsafeMutableBufferPointer { input -> GzipError? in
        stream.pointee.next_in = input.baseAddress
        stream.pointee.avail_in = UInt32(input.count)
        while true {
            var status = Z_OK
            output += [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
                stream.pointee.next_out = buffer.baseAddress
                stream.pointee.avail_out = UInt32(buffer.count)
                status = inflate(stream, Z_NO_FLUSH)
                count = buffer.count - Int(stream.pointee.avail_out)
            }
            if output.count > limit { return .tooLarge }
            switch status {
            case Z_STREAM_END:
                if stream.pointee.avail_in == 0 { return nil }
                guard inflateReset(stream) == Z_OK else { return .damaged }
            case Z_OK: continue
            default: return .damaged
            }
        }
    }
    if let failure { throw failure }
    return output
}
