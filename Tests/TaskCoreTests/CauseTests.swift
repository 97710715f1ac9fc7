import TES
import TaskCore
import Testing

@Suite("Cause")
struct CauseTests {
    static let causes: [(cause: Cause, name: String, state: TESState, sentence: String?)] = [
        (.completed, "completed", .complete, nil),
        (.canceled, "canceled", .canceled, nil),
        (
            .executorFailed(position: 1, exitCode: 3, reason: nil), "executor-failed", .executorError,
            "executor 1 ended with exit code 3"
        ),
        (
            .executorFailed(position: 0, exitCode: 127, reason: "the program x does not exist"), "executor-failed",
            .executorError, "executor 0 ended with exit code 127: the program x does not exist"
        ),
        (
            .imageUnavailable(position: 2, image: "no/such:1", reason: "not found"), "image-unavailable", .systemError,
            "the image \"no/such:1\" of executor 2 cannot be had: not found. Check its name and tag, and that this server may pull it."
        ),
        (
            .inputUnavailable(position: 0, url: "s3://b/k", path: "/in", reason: "denied"), "input-unavailable",
            .systemError,
            "input 0 (s3://b/k for /in) cannot be had: denied"
        ),
        (
            .outputFailed(position: 4, url: "s3://b/k", path: "/out", reason: "denied"), "output-failed", .systemError,
            "output 4 (/out to s3://b/k) could not be uploaded: denied"
        ),
        (
            .outputMissing(position: 0, path: "/out"), "output-missing", .systemError,
            "output 0 (/out) does not exist, although all executors succeeded"
        ),
        (
            .diskFull(what: "while input 0 was staged"), "disk-full", .systemError,
            "no space is left on this server's disk (while input 0 was staged). Free some, or run the task where there is more."
        ),
        (.tooLarge(reason: "why"), "too-large", .systemError, "no machine of this server can run the task: why"),
        (
            .engineFailed(position: 0, reason: "why"), "engine-failed", .systemError,
            "the container engine could not run executor 0: why"
        ),
        (.hostLost(reason: "why"), "host-lost", .systemError, "the attempt was lost: why"),
        (.shimFailed(position: 3, reason: "why"), "shim-failed", .systemError, "executor 3 could not be run: why"),
        (.internalError(reason: "why"), "internal-error", .systemError, "the server failed: why"),
        (
            .cannotStart(reason: "why"), "cannot-start", .systemError,
            "the task could not be started on the cluster: why"
        ),
        (.evicted(reason: "why"), "evicted", .systemError, "the attempt was evicted: why"),
        (
            .deadlineExceeded(reason: "why"), "deadline-exceeded", .systemError,
            "the task was ended because its time is over: why"
        ),
        (
            .diskLimitExceeded(reason: "why"), "disk-limit-exceeded", .systemError,
            "the task wrote more than the disk that it was given: why. Ask for more disk_gb."
        ),
        (.partFailed(part: "staging", reason: "why"), "part-failed", .systemError, "staging failed: why"),
    ]

    @Test(arguments: causes.indices)
    func saysWhatHappened(_ index: Int) {
        let expected = Self.causes[index]
        #expect(expected.cause.name == expected.name)
        #expect(expected.cause.state == expected.state)
        #expect(expected.cause.sentence == expected.sentence)
    }

    @Test(arguments: causes.indices)
    func anotherAttemptHelpsOnlyWhereTheHostOrItsPlaceWasLost(_ index: Int) {
        let expected = Self.causes[index]
        #expect(expected.cause.retryHelps == ["host-lost", "evicted"].contains(expected.name))
    }

    @Test(arguments: causes.indices)
    func everyCauseEndsTheTask(_ index: Int) {
        #expect(Self.causes[index].cause.state.isTerminal)
    }
}
