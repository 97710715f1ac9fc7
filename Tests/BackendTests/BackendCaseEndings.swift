import Foundation
import Orchestrator
import TES
import TaskCore
import TaskStore
import Testing

extension BackendCase {
    // MARK: Order and files

    static let files = [
        BackendCase("executors run strictly in order and see the same files") { harness in
            let append = { (letter: String) in "cat /task-dir/log 2>/dev/null; echo \(letter) >> /task-dir/log" }
            let task = try await harness.run(BackendHarness.script(append("a"), append("b"), append("c")))
            #expect(task.state == .complete)
            #expect(task.logs?.last?.logs.map(\.stdout) == ["", "a\n", "a\nb\n"])
            let times = (task.logs?.last?.logs ?? []).compactMap { log in
                log.startTime.flatMap { start in log.endTime.map { (start, $0) } }
            }
            #expect(times.count == 3 && zip(times, times.dropFirst()).allSatisfy { $0.1 <= $1.0 })
        },
        BackendCase("after a failure nothing more runs") { harness in
            let task = try await harness.run(BackendHarness.script("true", "exit 7", "touch /task-dir/ran"))
            #expect(task.state == .executorError && task.logs?.last?.logs.map(\.exitCode) == [0, 7])
        },
        BackendCase("an ignored error is recorded and the task goes on") { harness in
            var task = BackendHarness.script("exit 3", "echo went on")
            task.executors[0].ignoreError = true
            let end = try await harness.run(task)
            #expect(end.state == .complete && end.logs?.last?.logs.map(\.exitCode) == [3, 0])
            #expect(end.logs?.last?.logs.last?.stdout == "went on\n")
            task.executors[1].command = ["/bin/sh", "-c", "exit 4"]
            #expect(try await harness.run(task).state == .executorError)
        },
        BackendCase("outputs are uploaded with their sizes, after a failure too") { harness in
            let task = BackendHarness.script(
                "printf 12345 > /task-out/a; mkdir -p /task-tree/x; echo t > /task-tree/x/t; exit 1",
                outputs: [
                    TESOutput(url: "file://\(harness.folder)/up/a", path: "/task-out/a", type: .file),
                    TESOutput(url: "file://\(harness.folder)/up/tree", path: "/task-tree", type: .directory),
                    TESOutput(url: "file://\(harness.folder)/up/none", path: "/task-out/none", type: .file),
                ])
            let end = try await harness.run(task)
            #expect(end.state == .executorError)
            #expect(harness.uploaded("up/a") == "12345" && harness.uploaded("up/tree/x/t") == "t\n")
            let log = try #require(end.logs?.last)
            #expect(log.outputs.map(\.path) == ["/task-out/a", "/task-tree/x/t"])
            #expect(
                log.outputs.map(\.url) == ["file://\(harness.folder)/up/a", "file://\(harness.folder)/up/tree/x/t"])
            #expect(log.outputs.map(\.sizeBytes) == [5, 2])
            #expect(log.systemLogs?.contains("output 2 (/task-out/none) does not exist and was not uploaded") == true)
        },
        BackendCase("a missing output leaves the state") { harness in
            let output = TESOutput(url: "\(harness.folder)/none", path: "/task-dir/none", type: .file)
            let end = try await harness.run(BackendHarness.script("true", outputs: [output]))
            #expect(end.state == .complete && end.logs?.last?.systemLogs?.count == 1)
        },
        BackendCase("a missing output fails where that is configured", settings: .missingOutputsFail) {
            harness in
            let output = TESOutput(url: "\(harness.folder)/none", path: "/task-dir/none", type: .file)
            let end = try await harness.run(BackendHarness.script("true", outputs: [output]))
            #expect(end.state == .systemError && end.logs?.last?.logs.map(\.exitCode) == [0])
            let failed = try await harness.run(BackendHarness.script("exit 2", outputs: [output]))
            #expect(failed.state == .executorError)
        },
        BackendCase("an input that cannot be had is SYSTEM_ERROR and nothing runs") { harness in
            let input = TESInput(url: "\(harness.folder)/nothing", path: "/task-in/x", type: .file)
            let end = try await harness.run(BackendHarness.script("true", inputs: [input]))
            #expect(end.state == .systemError && end.logs?.count == 1 && end.logs?.last?.logs.isEmpty == true)
            #expect(end.logs?.last?.systemLogs?.last?.hasPrefix("input 0 (") == true)
        },
        BackendCase("an output that cannot be written is SYSTEM_ERROR, but not after a failure") { harness in
            let output = TESOutput(url: "/not-allowed/x", path: "/task-dir/x", type: .file)
            let end = try await harness.run(BackendHarness.script("touch /task-dir/x", outputs: [output]))
            #expect(end.state == .systemError)
            #expect(end.logs?.last?.systemLogs?.last?.contains("could not be uploaded") == true)
            let failed = try await harness.run(BackendHarness.script("touch /task-dir/x; exit 5", outputs: [output]))
            #expect(failed.state == .executorError)
            #expect(failed.logs?.last?.systemLogs?.contains { $0.contains("could not be uploaded") } == true)
        },
    ]

    // MARK: Ends that are not the program's

    static let endings = [
        BackendCase("an image that cannot be had is SYSTEM_ERROR with its name, and nothing runs") { harness in
            var task = BackendHarness.script("touch /task-dir/ran", "true")
            task.executors[1].image = "localhost:1/no/such-image:1"
            let end = try await harness.run(task)
            #expect(end.state == .systemError && end.logs?.count == 1 && end.logs?.last?.logs.isEmpty == true)
            let line = try #require(end.logs?.last?.systemLogs?.last)
            #expect(line.hasPrefix("the image \"localhost:1/no/such-image:1\" of executor 1 cannot be had: "))
        },
        BackendCase("a task that needs more than there is ends at once") { harness in
            var task = BackendHarness.script("true")
            task.resources = TESResources(cpuCores: 100_000)
            let end = try await harness.run(task)
            #expect(end.state == .systemError && end.logs?.last?.logs.isEmpty == true)
            #expect(end.logs?.last?.systemLogs?.last?.contains("100000 CPU cores") == true)
        },
        BackendCase("a cancel ends a running task and uploads nothing") { harness in
            let output = TESOutput(url: "\(harness.folder)/kept", path: "/task-dir/kept", type: .file)
            let script = "echo begun; echo x > /task-dir/kept; " + BackendHarness.waiting
            let id = try await harness.create(BackendHarness.script(script, "true", outputs: [output]))
            try await harness.waitUntilStarted(id)
            try await harness.cancel(id)
            let end = try await harness.end(id)
            #expect(end.state == .canceled && end.logs?.count == 1)
            #expect(end.logs?.last?.endTime != nil)
            // Whether what it had printed is kept is the backend's matter; that it had failed by itself none may say.
            #expect(end.logs?.last?.logs.allSatisfy { $0.stdout == "begun\n" && $0.exitCode == 143 } == true)
            #expect(harness.uploaded("kept") == nil)
            try await harness.expectNoContainers()
        },
        BackendCase("a program that ignores SIGTERM is killed after its grace") { harness in
            let id = try await harness.create(BackendHarness.script("trap '' TERM; " + BackendHarness.waiting))
            try await harness.waitUntilStarted(id)
            try await harness.cancel(id)
            #expect(try await harness.end(id).state == .canceled)
            try await harness.expectNoContainers()
        },
        BackendCase("a container that vanished is another attempt") { harness in
            let id = try await harness.create(BackendHarness.script(BackendHarness.waiting + "; echo done"))
            try await harness.waitUntilStarted(id)
            for name in try await harness.containers() { try await harness.engine.remove(name) }
            try await harness.waitUntilStarted(id, attempt: 2)
            try await harness.letGo(id, attempt: 2)
            let end = try await harness.end(id)
            #expect(end.state == .complete && end.logs?.count == 2)
            #expect(end.logs?.first?.logs.isEmpty == true && end.logs?.first?.endTime != nil)
            let line = try #require(end.logs?.first?.systemLogs?.last)
            #expect(line.hasPrefix("the attempt was lost: ") && line.hasSuffix("; the task is queued again"))
            #expect(end.logs?.last?.logs.map(\.stdout) == ["done\n"])
        },
        BackendCase("a container stopped from outside is another attempt, never EXECUTOR_ERROR") { harness in
            let id = try await harness.create(BackendHarness.script(BackendHarness.waiting))
            try await harness.waitUntilStarted(id)
            for name in try await harness.containers() { try await harness.engine.stop(name, grace: .seconds(5)) }
            try await harness.waitUntilStarted(id, attempt: 2)
            try await harness.letGo(id, attempt: 2)
            let end = try await harness.end(id)
            #expect(end.state == .complete && end.logs?.count == 2)
        },
        BackendCase("attempts have a limit") { harness in
            let id = try await harness.create(BackendHarness.script(BackendHarness.waiting))
            for attempt in 1...LifeCycle.mostAttempts {
                try await harness.waitUntilStarted(id, attempt: attempt)
                for name in try await harness.containers() { try await harness.engine.remove(name) }
            }
            let end = try await harness.end(id)
            #expect(end.state == .systemError && end.logs?.count == LifeCycle.mostAttempts)
            let line = try #require(end.logs?.last?.systemLogs?.last)
            #expect(line.hasPrefix("the attempt was lost: ") && !line.contains("queued again"))
        },
        BackendCase("nothing is left of a task that ended") { harness in
            for script in ["true", "exit 1"] { _ = try await harness.run(BackendHarness.script(script)) }
            try await eventually("containers and folders are gone") { try await harness.isEmpty() ? () : nil }
        },
    ]

    // MARK: Restarts of the server

    static let restarts = [
        BackendCase("what runs is taken up, and an executor with a result is not run again", startsWorker: false) {
            harness in
            let first = "echo x >> /task-dir/count"
            let id = try await harness.create(
                BackendHarness.script(first, BackendHarness.waiting + "; cat /task-dir/count"))
            try await harness.withWorker { try await harness.waitUntilStarted(id) }
            #expect(try await harness.task(id).state == .running)
            #expect(try await harness.containers().count == 1)
            let next = harness.restarted()
            try await next.withWorker {
                try await harness.letGo(id)
                let end = try await next.end(id)
                #expect(end.state == .complete && end.logs?.count == 1)
                #expect(end.logs?.last?.logs.map(\.exitCode) == [0, 0])
                #expect(end.logs?.last?.logs.last?.stdout == "x\n")
            }
        },
        BackendCase("what ended while no server ran is finished", startsWorker: false) { harness in
            let id = try await harness.create(BackendHarness.script(BackendHarness.waiting + "; exit 9", "true"))
            try await harness.withWorker { try await harness.waitUntilStarted(id) }
            try await harness.letGo(id)
            let name = try #require(try await harness.containers().first)
            _ = try await harness.engine.wait(name)
            #expect(try await harness.task(id).state == .running)
            let next = harness.restarted()
            try await next.withWorker {
                let end = try await next.end(id)
                #expect(end.state == .executorError && end.logs?.last?.logs.map(\.exitCode) == [9])
            }
        },
        BackendCase("a cancel that came while no server ran is carried out", startsWorker: false) { harness in
            let id = try await harness.create(BackendHarness.script(BackendHarness.waiting))
            try await harness.withWorker { try await harness.waitUntilStarted(id) }
            try await harness.cancel(id)
            let next = harness.restarted()
            try await next.withWorker {
                let end = try await next.end(id)
                #expect(end.state == .canceled)
                try await next.expectNoContainers()
            }
        },
        BackendCase("a container that vanished while no server ran is another attempt", startsWorker: false) {
            harness in
            let id = try await harness.create(BackendHarness.script(BackendHarness.waiting))
            try await harness.withWorker { try await harness.waitUntilStarted(id) }
            for name in try await harness.containers() { try await harness.engine.remove(name) }
            let next = harness.restarted()
            try await next.withWorker {
                try await next.waitUntilStarted(id, attempt: 2)
                try await next.letGo(id, attempt: 2)
                let end = try await next.end(id)
                #expect(end.state == .complete && end.logs?.count == 2)
            }
        },
        BackendCase("what attempts of nobody left behind is removed at the start", startsWorker: false) { harness in
            var spec = ContainerSpec(
                name: "poiesis-\(harness.store.newID())-1-exec-0", image: BackendHarness.image,
                entrypoint: ["/bin/true"])
            spec.labels = [Label.instance: harness.settings.instance]
            try await harness.engine.create(spec)
            let left = harness.folder + "/data/attempts/left-1/workspace/fs/deep"
            try FileManager.default.createDirectory(atPath: left, withIntermediateDirectories: true)
            try await harness.withWorker {
                try await eventually("it is gone") { try await harness.isEmpty() ? () : nil }
            }
        },
    ]

    // MARK: What only a container has

    static let inContainers = [
        BackendCase("signals from inside a container are its program's own business") { harness in
            let script =
                "trap : TERM INT USR1 WINCH; for s in TERM INT USR1 WINCH; do kill -$s 1; done; sleep 1; exit 3"
            let end = try await harness.run(BackendHarness.script(script))
            #expect(end.state == .executorError && end.logs?.map { $0.logs.map(\.exitCode) } == [[3]])
        },
        BackendCase("a result beside the shim's own trouble is not the shim's") { harness in
            let fields = "exit-code 1\n0\nstart 1\n1\nend 1\n1\ncpu 1\n0\npeak-memory 1\n0\n"
            let script =
                "cd /.poiesis/exec-0 && mkdir -p result.new/x && printf '\(fields.replacing("\n", with: "\\n"))' > result"
            let end = try await harness.run(BackendHarness.script(script))
            #expect(end.state == .systemError, "\(end.logs?.last?.systemLogs ?? [])")
        },
        BackendCase("files in the image's own folders are carried, and the image's stay visible") { harness in
            let task = BackendHarness.script(
                "echo one > /root/out.txt; ls /bin/sh",
                "cat /root/out.txt; echo two >> /root/out.txt; cat /etc/in.conf",
                inputs: [TESInput(path: "/etc/in.conf", type: .file, content: "conf\n")],
                outputs: [TESOutput(url: "\(harness.folder)/out.txt", path: "/root/out.txt", type: .file)], volumes: [])
            let end = try await harness.run(task)
            #expect(end.state == .complete)
            #expect(end.logs?.last?.logs.map(\.stdout) == ["/bin/sh\n", "one\nconf\n"])
            #expect(harness.uploaded("out.txt") == "one\ntwo\n")
        },
        BackendCase("a mount's source that was replaced by a link is never mounted") { harness in
            // A file in the root folder is carried: all of the workspace appears below /.poiesis/carry.
            let replace = "mv /.poiesis/carry/task-two /.poiesis/carry/old; ln -s / /.poiesis/carry/task-two"
            let task = BackendHarness.script(
                replace, "ls /task-two",
                outputs: [TESOutput(url: "\(harness.folder)/o", path: "/out.txt", type: .file)], volumes: ["/task-two"])
            let end = try await harness.run(task)
            #expect(end.state == .systemError && end.logs?.last?.logs.map(\.exitCode) == [0])
            #expect(end.logs?.last?.systemLogs?.last?.contains("replaced the mounted directory") == true)
        },
        BackendCase("a program's own failure wins over files that could not be carried") { harness in
            let script = "mkdir -p /.poiesis/carry/root/out.txt/x; echo x > /root/out.txt"
            let output = TESOutput(url: "\(harness.folder)/o", path: "/root/out.txt", type: .file)
            let failed = try await harness.run(
                BackendHarness.script(script + "; exit 3", outputs: [output], volumes: []))
            #expect(failed.state == .executorError && failed.logs?.last?.logs.map(\.exitCode) == [3])
            let told = failed.logs?.last?.systemLogs?.contains {
                $0.contains("could not be copied out of the container")
            }
            #expect(told == true)
            let succeeded = try await harness.run(BackendHarness.script(script, outputs: [output], volumes: []))
            #expect(succeeded.state == .systemError)
        },
        BackendCase("a shim that cannot write its result names a full disk", settings: .leastFreeSpace(.max)) {
            harness in
            let end = try await harness.run(BackendHarness.script("mkdir /.poiesis/exec-0/result.new"))
            #expect(end.state == .systemError && end.logs?.count == 1)
            #expect(end.logs?.last?.systemLogs?.last?.hasPrefix("no space is left on this server's disk") == true)
        },
        BackendCase("the control folder shows an executor nothing but its own") { harness in
            let end = try await harness.run(
                BackendHarness.script("true", "ls /.poiesis; touch /.poiesis/bin/x; echo $?"))
            let stdout = try #require(end.logs?.last?.logs.last?.stdout)
            #expect(stdout.hasPrefix("bin\nexec-1\n") && !stdout.hasSuffix("\n0\n"))
        },
        BackendCase("a program that needs more memory than its limit is 137", settings: .memoryFloor(16 << 20)) {
            harness in
            var task = BackendHarness.script("dd if=/dev/zero of=/dev/null bs=300M count=1; exit $?")
            task.resources = TESResources(ramGb: 0.064)
            let end = try await harness.run(task)
            #expect(end.state == .executorError && end.logs?.last?.logs.map(\.exitCode) == [137])
        },
        BackendCase("paths of the task are fresh and writable for any user") { harness in
            let end = try await harness.run(
                BackendHarness.script(
                    // Of two empty folders `ls` prints the names alone.
                    "ls -A /tmp /task-dir | grep -c .; for d in /tmp /task-dir; do stat -c %a $d | grep -o '7$'; done; "
                        + "mkdir /tmp/conda && echo made", volumes: ["/tmp", "/task-dir"]))
            #expect(end.logs?.last?.logs.first?.stdout == "2\n7\n7\nmade\n")
        },
    ]
}
