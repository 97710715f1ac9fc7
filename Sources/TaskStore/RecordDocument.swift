import TES
import TaskCore

/// An attempt's record as the JSON document that `record_v1` takes.
struct RecordDocument {
    let text: String

    init(_ record: AttemptRecord) {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("time")
        writer.integer(record.time.microseconds)
        if let state = record.state {
            writer.key("state")
            writer.string(state.rawValue)
        }
        if let cause = record.cause {
            writer.key("cause")
            writer.string(cause)
        }
        writer.key("metadata")
        writer.map(record.metadata.mapValues(recordable))
        writer.key("system_logs")
        writer.beginArray()
        for line in record.systemLogs {
            writer.element()
            writer.string(recordable(line))
        }
        writer.endArray()
        Self.write(record.executors, &writer)
        Self.write(record.outputs, &writer)
        writer.endObject()
        text = writer.text
    }

    private static func write(_ executors: [(position: Int, log: TESExecutorLog)], _ writer: inout JSONWriter) {
        writer.key("executors")
        writer.beginArray()
        for (position, log) in executors {
            writer.element()
            writer.beginObject()
            writer.key("position")
            writer.integer(Int64(position))
            writer.key("exit_code")
            writer.integer(Int64(log.exitCode))
            for (name, time) in [("start_time", log.startTime), ("end_time", log.endTime)] {
                guard let time else { continue }
                writer.key(name)
                writer.integer(time.microseconds)
            }
            for (name, text) in [("stdout", log.stdout), ("stderr", log.stderr)] {
                guard let text else { continue }
                writer.key(name)
                writer.string(recordable(text))
            }
            writer.endObject()
        }
        writer.endArray()
    }

    private static func write(_ outputs: [OutputRecord], _ writer: inout JSONWriter) {
        writer.key("outputs")
        writer.beginArray()
        for (position, output) in outputs.enumerated() {
            writer.element()
            writer.beginObject()
            writer.key("position")
            writer.integer(Int64(position))
            writer.key("size_bytes")
            writer.integer(output.log.sizeBytes)
            for (name, text) in [("url", output.log.url), ("path", output.log.path), ("checksum", output.checksum)] {
                writer.key(name)
                writer.string(recordable(text))
            }
            writer.endObject()
        }
        writer.endArray()
    }
}
