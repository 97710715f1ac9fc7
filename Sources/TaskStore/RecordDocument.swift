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
            var log = log
            log.stdout = log.stdout.map(recordable)
            log.stderr = log.stderr.map(recordable)
            writer.element()
            writer.beginObject()
            writer.key("position")
            writer.integer(Int64(position))
            writer.key("value")
            log.write(&writer)
            writer.endObject()
        }
        writer.endArray()
    }

    private static func write(_ outputs: [OutputRecord], _ writer: inout JSONWriter) {
        writer.key("outputs")
        writer.beginArray()
        for (position, output) in outputs.enumerated() {
            var log = output.log
            log.url = recordable(log.url)
            log.path = recordable(log.path)
            writer.element()
            writer.beginObject()
            writer.key("position")
            writer.integer(Int64(position))
            writer.key("checksum")
            writer.string(output.checksum)
            writer.key("value")
            log.write(&writer)
            writer.endObject()
        }
        writer.endArray()
    }
}
