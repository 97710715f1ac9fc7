import TES
import TaskCore
import Testing

@Suite("Mount plan")
struct MountPlanTests {
    private func plan(
        inputs: [TESInput] = [], outputs: [TESOutput] = [], volumes: [String]? = nil,
        executors: [TESExecutor] = [TESExecutor(image: "i", command: ["true"])]
    ) -> MountPlan {
        MountPlan(TESTask(inputs: inputs, outputs: outputs, executors: executors, volumes: volumes))
    }

    private func input(_ path: String, _ type: TESFileType = .file) -> TESInput {
        TESInput(path: path, type: type, content: "x")
    }

    private func output(_ path: String, _ type: TESFileType = .file, prefix: String? = nil) -> TESOutput {
        TESOutput(url: "file:///o", path: path, pathPrefix: prefix, type: type)
    }

    private func directories(_ plan: MountPlan) -> [String] { plan.mounts.filter { !$0.isFile }.map(\.path) }
    private func files(_ plan: MountPlan) -> [String] { plan.mounts.filter(\.isFile).map(\.path) }

    private func isEmpty(_ plan: MountPlan) -> Bool {
        plan.mounts.isEmpty && plan.carried.isEmpty && plan.carryDirectories.isEmpty
    }

    // MARK: What is mounted whole

    @Test func aTaskWithoutPathsMountsNothing() { #expect(isEmpty(plan())) }

    @Test func volumesAndDirectoriesAreMountedWhole() {
        let plan = plan(
            inputs: [input("/in/tree", .directory)], outputs: [output("/out/tree", .directory)],
            volumes: ["/vol", "/var/scratch"])
        #expect(directories(plan) == ["/in/tree", "/out/tree", "/var/scratch", "/vol"])
        #expect(plan.carried.isEmpty)
    }

    @Test func outsideImageFoldersAFilesDirectoryIsMounted() {
        let executor = TESExecutor(image: "i", command: ["true"], stdout: "/logs/a/out", stderr: "/logs/b/err")
        let plan = plan(inputs: [input("/data/in.txt")], outputs: [output("/result/out.txt")], executors: [executor])
        #expect(directories(plan) == ["/data", "/logs/a", "/logs/b", "/result"])
        #expect(files(plan).isEmpty && plan.carried.isEmpty)
    }

    @Test func neverACommonParentOfTwoDirectories() {
        #expect(directories(plan(inputs: [input("/data/a/x"), input("/data/b/y")])) == ["/data/a", "/data/b"])
    }

    @Test func whatLiesInAMountedDirectoryNeedsNoMount() {
        let plan = plan(
            inputs: [input("/data", .directory), input("/data/sub/x"), input("/database/y")],
            outputs: [output("/data/deep/er/z")])
        #expect(directories(plan) == ["/data", "/database"])
    }

    @Test func aPatternMountsItsFixedPrefix() {
        #expect(directories(plan(outputs: [output("/work/a/*.txt", prefix: "/work")])) == ["/work/a"])
        #expect(directories(plan(outputs: [output("/work/{a,b}/**", prefix: "/work")])) == ["/work"])
    }

    @Test func withoutAPrefixAPathWithBracketsIsAName() {
        let plan = plan(outputs: [output("/work/[a]/{b}")])
        #expect(directories(plan) == ["/work/[a]"])
    }

    @Test func pathsAreNormalized() {
        let plan = plan(
            inputs: [input("/data//x/./in.txt")], outputs: [output("/out/", .directory)], volumes: ["/vol/"])
        #expect(directories(plan) == ["/data/x", "/out", "/vol"])
    }

    @Test func mountsAreInOrderSoThatADirectoryComesBeforeWhatIsMountedInIt() {
        let plan = plan(inputs: [input("/root/x"), input("/a", .directory), input("/etc/b.conf")])
        #expect(plan.mounts.map(\.path) == ["/a", "/etc/b.conf", "/root/x"])
    }

    // MARK: The image's own folders

    static let imageFolders = [
        "/", "/app", "/bin", "/boot", "/etc", "/home", "/lib", "/lib32", "/lib64", "/opt", "/root", "/run", "/sbin",
        "/srv", "/usr",
        "/var",
    ]

    @Test(arguments: imageFolders)
    func inputFilesInImageFoldersAreBoundAlone(_ folder: String) {
        let base = folder == "/" ? "" : folder
        let plan = plan(inputs: [input(base + "/in.txt")])
        #expect(files(plan) == [base + "/in.txt"])
        #expect(directories(plan).isEmpty && plan.carried.isEmpty)
    }

    @Test(arguments: imageFolders)
    func outputFilesInImageFoldersAreCarried(_ folder: String) {
        let base = folder == "/" ? "" : folder
        let plan = plan(outputs: [output(base + "/out.txt")])
        #expect(plan.mounts.isEmpty)
        #expect(plan.carried.map(\.path) == [base + "/out.txt"])
        #expect(plan.carryDirectories == [folder])
    }

    @Test(arguments: ["/usr/local/share/x", "/home/user/deep", "/lib/modules/a"])
    func imageFoldersCountWithAllBelowThem(_ folder: String) {
        let plan = plan(inputs: [input(folder + "/in")], outputs: [output(folder + "/out")])
        #expect(files(plan) == [folder + "/in"])
        #expect(plan.carryDirectories == [folder])
    }

    @Test(arguments: [
        "/work", "/tmp", "/data", "/mnt/x", "/applications", "/variable", "/var/lib/cwl", "/var/lib/cwl/job",
    ])
    func otherFoldersAreTheTasksOwn(_ folder: String) {
        #expect(!MountPlan.isInImage(folder))
        #expect(directories(plan(outputs: [output(folder + "/out")])) == [folder])
    }

    @Test func redirectsAndPatternsInImageFoldersAreCarried() {
        let executor = TESExecutor(image: "i", command: ["true"], stdout: "/root/log/out", stderr: "/root/log/err")
        let plan = plan(outputs: [output("/opt/r/*.csv", prefix: "/opt")], executors: [executor])
        #expect(plan.mounts.isEmpty)
        #expect(plan.carried.map(\.path) == ["/opt/r/*.csv", "/root/log/out", "/root/log/err"])
        #expect(plan.carried.map(\.isPattern) == [true, false, false])
        #expect(plan.carryDirectories == ["/opt/r", "/root/log"])
    }

    @Test func aDirectoryInAnImageFolderIsMountedAndCarriesNothing() {
        let plan = plan(outputs: [output("/root/out", .directory), output("/root/out/log.txt")], volumes: ["/opt/v"])
        #expect(directories(plan) == ["/opt/v", "/root/out"])
        #expect(plan.carried.isEmpty && plan.carryDirectories.isEmpty)
    }

    @Test func aPathBoundAsAnInputIsNotCarried() {
        let plan = plan(
            inputs: [input("/root/state.json")], outputs: [output("/root/state.json"), output("/root/other")])
        #expect(files(plan) == ["/root/state.json"])
        #expect(plan.carried.map(\.path) == ["/root/other"])
    }

    @Test func aFileInAMountedDirectoryOfAnImageFolderIsNotBound() {
        let plan = plan(inputs: [input("/opt/data", .directory), input("/opt/data/x")])
        #expect(directories(plan) == ["/opt/data"] && files(plan).isEmpty)
    }

    @Test func theSameCarriedFileIsCarriedOnce() {
        let executor = TESExecutor(image: "i", command: ["true"], stdout: "/root/out")
        let plan = plan(outputs: [output("/root/out")], executors: [executor, executor])
        #expect(plan.carried.count == 1 && plan.carryDirectories == ["/root"])
    }

    // MARK: What makes no mount

    @Test func workdirAndStdinMakeNoMount() {
        #expect(isEmpty(plan(executors: [TESExecutor(image: "i", command: ["true"], workdir: "/x/y", stdin: "/z/in")])))
    }

    @Test func sameInputTwiceIsOneInput() {
        #expect(plan(inputs: [input("/data/x"), input("/data/x")]) == plan(inputs: [input("/data/x")]))
    }

    @Test func inputAndOutputMayShareADirectoryOrBeOnePath() {
        let plan = plan(
            inputs: [input("/work/a"), input("/work/sub", .directory)], outputs: [output("/work/a"), output("/work/b")])
        #expect(directories(plan) == ["/work"])
    }

    @Test func saysWhichMountHidesAProgram() {
        let plan = plan(outputs: [output("/opt/tool", .directory)])
        #expect(plan.mount(hiding: "/opt/tool/bin/run") == "/opt/tool")
        #expect(plan.mount(hiding: "/opt/toolbox/run") == nil)
        #expect(self.plan(inputs: [input("/opt/x")]).mount(hiding: "/opt/x") == nil)
    }

    // MARK: Real clients

    @Test func nextflowWorksInOneDirectory() {
        let executor = TESExecutor(image: "i", command: ["bash", "/work/.command.run"], workdir: "/work")
        let plan = plan(
            inputs: [input("/work/.command.run"), input("/work/.command.sh"), input("/work/reads.fq")],
            outputs: [
                output("/work/.exitcode"), output("/work/*.bam", prefix: "/work"),
                output("/work/a/{b,c}", prefix: "/work"),
            ],
            executors: [executor])
        #expect(directories(plan) == ["/work"])
        #expect(files(plan).isEmpty && plan.carried.isEmpty)
    }

    @Test func cwltesHasARandomWorkdirThatIsAnOutputDirectory() {
        let executor = TESExecutor(
            image: "i", command: ["cat"], workdir: "/oQuvDZ", stdout: "/oQuvDZ/out.txt", stderr: "/oQuvDZ/err.txt",
            env: ["HOME": "/oQuvDZ"])
        let plan = plan(
            inputs: [input("/var/lib/cwl/job1/stg1/a.txt"), input("/var/lib/cwl/job1/stg2/b.txt")],
            outputs: [output("/oQuvDZ", .directory), output("/oQuvDZ/out.txt"), output("/oQuvDZ/err.txt")],
            executors: [executor])
        #expect(directories(plan) == ["/oQuvDZ", "/var/lib/cwl/job1/stg1", "/var/lib/cwl/job1/stg2"])
        #expect(files(plan).isEmpty && plan.carried.isEmpty)
    }

    @Test func snakemakeHasAFreshTmp() {
        let executor = TESExecutor(image: "i", command: ["/bin/bash", "/tmp/run.sh"], workdir: "/tmp")
        let plan = plan(
            inputs: [input("/tmp/run.sh"), input("/tmp/Snakefile")], outputs: [output("/tmp/out.txt")],
            executors: [executor])
        #expect(directories(plan) == ["/tmp"])
    }
}
