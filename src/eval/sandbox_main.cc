// dovetail_python: the interpreter inside the sandbox (eval/sandbox.h starts it, users do not).
//
// Reads a nonce and a program from file 3, closes it, gives up every right that it can, runs the
// program and reports on file 4: 'S' before its first line, then 'P' and the nonce if it ran to its
// end, or 'F', what was raised and a zero byte. The nonce lies in memory of C++ that Python code
// has no name for, and leaves the process only after exec() has returned. Arguments: address space
// [bytes], processor time [s], file size [bytes].
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

constexpr int kRequestFile = 3;
constexpr int kReportFile = 4;
constexpr size_t kNonceBytes = 32;
constexpr size_t kMaxDetailBytes = 400;
// Processes and threads together; forks are refused anyway, threads are limited by this.
constexpr rlim_t kMaxProcesses = 32;
constexpr rlim_t kMaxFiles = 64;
constexpr rlim_t kStackBytes = 8 << 20;

// Streams as code_eval's swallow_io: write-only. Then every module of the standard library that is
// compiled, because none can be loaded once memory cannot become executable. Not ctypes, whose use
// is to reach memory, and none of the modules for testing the interpreter.
constexpr const char* kPrelude = R"(
import io, sys, warnings

class Swallowed(io.StringIO):
    def write(self, text):
        return len(text)
    def read(self, *args, **kwargs):
        raise OSError
    readline = readlines = read
    def readable(self, *args, **kwargs):
        return False

sys.stdout = sys.stderr = sys.stdin = Swallowed()
sys.argv = ['']
warnings.simplefilter('ignore')
for name in ('_asyncio', '_bz2', '_contextvars', '_decimal', '_hashlib', '_json', '_lzma', '_queue',
             '_typing', '_uuid', '_zoneinfo', 'mmap', 'termios'):
    try:
        __import__(name)
    except ImportError:
        pass
warnings.resetwarnings()
)";

[[noreturn]] void end(int code) {
  while (true) ::syscall(SYS_exit_group, code);
}

// For what goes wrong before the program starts: the parent shows it as the reason.
[[noreturn]] void refuse(std::string_view reason) {
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, reason.data(), reason.size());
  end(1);
}

void report(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(kReportFile, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) end(1);
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// Until the parent ends the sandbox: bwrap then reaps its first process, which it would leave to
// the system's if it saw the program's end before.
[[noreturn]] void wait_for_the_end() {
  while (true) ::sleep(1);
}

std::string read_request() {
  std::string request;
  char chunk[4096];
  while (true) {
    const ssize_t n = ::read(kRequestFile, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse("the program cannot be read");
    if (n == 0) break;
    request.append(chunk, static_cast<size_t>(n));
  }
  if (request.size() < kNonceBytes) refuse("the program comes without its nonce");
  ::close(kRequestFile);
  return request;
}

void start_python() {
  PyPreConfig before;
  PyPreConfig_InitIsolatedConfig(&before);
  before.utf8_mode = 1;
  if (PyStatus_Exception(Py_PreInitialize(&before))) refuse("Python does not start");
  PyConfig config;
  PyConfig_InitIsolatedConfig(&config);
  config.site_import = 0;  // the standard library alone: the same everywhere
  config.write_bytecode = 0;
  config.use_hash_seed = 1;  // the order of sets of text is the same in every run
  config.hash_seed = 0;
  config.install_signal_handlers = 1;
  const PyStatus status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_Exception(status)) refuse("Python does not start");
  PyObject* scope = PyDict_New();
  PyObject* result = PyRun_String(kPrelude, Py_file_input, scope, scope);
  if (result == nullptr) refuse("Python's own modules cannot be loaded");
  Py_DECREF(result);
  Py_DECREF(scope);
}

void limit(__rlimit_resource resource, rlim_t value) {
  const rlimit both{.rlim_cur = value, .rlim_max = value};
  if (::setrlimit(resource, &both) != 0) refuse("a resource limit cannot be set");
}

void set_limits(char** argv) {
  limit(RLIMIT_AS, std::strtoull(argv[1], nullptr, 10));
  limit(RLIMIT_CPU, std::strtoull(argv[2], nullptr, 10));
  limit(RLIMIT_FSIZE, std::strtoull(argv[3], nullptr, 10));
  limit(RLIMIT_NPROC, kMaxProcesses);
  limit(RLIMIT_NOFILE, kMaxFiles);
  limit(RLIMIT_STACK, kStackBytes);
  limit(RLIMIT_CORE, 0);
}

// What pure Python needs on its own files, memory, threads and clocks. Everything else fails with
// EPERM: processes, signals to others, networks, mounts, tracing, other processes' memory.
constexpr int kAllowed[] = {SCMP_SYS(read),
                            SCMP_SYS(write),
                            SCMP_SYS(readv),
                            SCMP_SYS(writev),
                            SCMP_SYS(pread64),
                            SCMP_SYS(pwrite64),
                            SCMP_SYS(open),
                            SCMP_SYS(openat),
                            SCMP_SYS(close),
                            SCMP_SYS(lseek),
                            SCMP_SYS(stat),
                            SCMP_SYS(fstat),
                            SCMP_SYS(lstat),
                            SCMP_SYS(newfstatat),
                            SCMP_SYS(statx),
                            SCMP_SYS(access),
                            SCMP_SYS(faccessat),
                            SCMP_SYS(faccessat2),
                            SCMP_SYS(getdents64),
                            SCMP_SYS(getcwd),
                            SCMP_SYS(chdir),
                            SCMP_SYS(fchdir),
                            SCMP_SYS(mkdir),
                            SCMP_SYS(mkdirat),
                            SCMP_SYS(rmdir),
                            SCMP_SYS(unlink),
                            SCMP_SYS(unlinkat),
                            SCMP_SYS(rename),
                            SCMP_SYS(renameat),
                            SCMP_SYS(renameat2),
                            SCMP_SYS(link),
                            SCMP_SYS(linkat),
                            SCMP_SYS(symlink),
                            SCMP_SYS(symlinkat),
                            SCMP_SYS(readlink),
                            SCMP_SYS(readlinkat),
                            SCMP_SYS(chmod),
                            SCMP_SYS(fchmod),
                            SCMP_SYS(fchmodat),
                            SCMP_SYS(umask),
                            SCMP_SYS(utimensat),
                            SCMP_SYS(ftruncate),
                            SCMP_SYS(truncate),
                            SCMP_SYS(fsync),
                            SCMP_SYS(fdatasync),
                            SCMP_SYS(flock),
                            SCMP_SYS(fcntl),
                            SCMP_SYS(dup),
                            SCMP_SYS(dup2),
                            SCMP_SYS(dup3),
                            SCMP_SYS(pipe),
                            SCMP_SYS(pipe2),
                            SCMP_SYS(poll),
                            SCMP_SYS(ppoll),
                            SCMP_SYS(select),
                            SCMP_SYS(pselect6),
                            SCMP_SYS(epoll_create1),
                            SCMP_SYS(epoll_ctl),
                            SCMP_SYS(epoll_wait),
                            SCMP_SYS(epoll_pwait),
                            SCMP_SYS(eventfd2),
                            SCMP_SYS(sendto),
                            SCMP_SYS(recvfrom),
                            SCMP_SYS(brk),
                            SCMP_SYS(munmap),
                            SCMP_SYS(mremap),
                            SCMP_SYS(madvise),
                            SCMP_SYS(futex),
                            SCMP_SYS(set_robust_list),
                            SCMP_SYS(rseq),
                            SCMP_SYS(set_tid_address),
                            SCMP_SYS(sched_yield),
                            SCMP_SYS(sched_getaffinity),
                            SCMP_SYS(gettid),
                            SCMP_SYS(getpid),
                            SCMP_SYS(getppid),
                            SCMP_SYS(getuid),
                            SCMP_SYS(geteuid),
                            SCMP_SYS(getgid),
                            SCMP_SYS(getegid),
                            SCMP_SYS(getgroups),
                            SCMP_SYS(getpgrp),
                            SCMP_SYS(getrlimit),
                            SCMP_SYS(getrusage),
                            SCMP_SYS(times),
                            SCMP_SYS(uname),
                            SCMP_SYS(sysinfo),
                            SCMP_SYS(getrandom),
                            SCMP_SYS(clock_gettime),
                            SCMP_SYS(clock_getres),
                            SCMP_SYS(gettimeofday),
                            SCMP_SYS(time),
                            SCMP_SYS(nanosleep),
                            SCMP_SYS(clock_nanosleep),
                            SCMP_SYS(rt_sigaction),
                            SCMP_SYS(rt_sigprocmask),
                            SCMP_SYS(rt_sigreturn),
                            SCMP_SYS(sigaltstack),
                            SCMP_SYS(alarm),
                            SCMP_SYS(setitimer),
                            SCMP_SYS(getitimer),
                            SCMP_SYS(restart_syscall),
                            SCMP_SYS(exit),
                            SCMP_SYS(exit_group)};

void restrict_system_calls() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (filter == nullptr) refuse("seccomp: no filter can be made");
  bool added = true;
  for (const int call : kAllowed) {
    added = added && seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) == 0;
  }
  const auto allow_if = [&](int call, scmp_arg_cmp condition) {
    added = added && seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition) == 0;
  };
  // No new machine code: whoever cannot make any cannot search this process for the nonce with it.
  allow_if(SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  allow_if(SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  allow_if(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  allow_if(SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0));  // to read them
  allow_if(SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
  allow_if(SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, TCGETS));
  allow_if(SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, FIONBIO));
  allow_if(SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, FIOCLEX));
  // Its flags lie in memory, which a filter cannot read; the C library then takes clone.
  added = added && seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
  if (!added || seccomp_load(filter) != 0) refuse("seccomp: the kernel does not take the filter");
  seccomp_release(filter);
}

std::string raised() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  std::string text = value == nullptr ? "error" : Py_TYPE(value)->tp_name;
  PyObject* message = value == nullptr ? nullptr : PyObject_Str(value);
  Py_ssize_t size = 0;
  const char* bytes = message == nullptr ? nullptr : PyUnicode_AsUTF8AndSize(message, &size);
  if (bytes != nullptr && size > 0) text += ": " + std::string(bytes, static_cast<size_t>(size));
  if (text.size() > kMaxDetailBytes) text.resize(kMaxDetailBytes);
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) refuse("wants three limits");
  const std::string request = read_request();
  start_python();
  PyObject* program =
      PyUnicode_DecodeUTF8(request.data() + kNonceBytes,
                           static_cast<Py_ssize_t>(request.size() - kNonceBytes), "strict");
  if (program == nullptr) PyErr_Clear();
  PyObject* exec = PyDict_GetItemString(PyEval_GetBuiltins(), "exec");
  PyObject* scope = PyDict_New();
  if (exec == nullptr || scope == nullptr) refuse("Python has no exec");
  set_limits(argv);
  restrict_system_calls();
  ::dup2(STDIN_FILENO, STDOUT_FILENO);  // /dev/null
  ::dup2(STDIN_FILENO, STDERR_FILENO);
  report("S");
  if (program == nullptr) {
    report(std::string("Fthe program is not UTF-8") + '\0');
    wait_for_the_end();
  }
  PyObject* result = PyObject_CallFunctionObjArgs(exec, program, scope, nullptr);
  if (result != nullptr) {
    report("P" + request.substr(0, kNonceBytes));
  } else {
    report("F" + raised() + '\0');
  }
  wait_for_the_end();
}
