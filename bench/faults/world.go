package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// alone marks the program that runs in a world of its own: network, processes and mounts.
const alone = "NUAGE_FAULTS_ALONE"

// enter runs the program again, alone. Whatever it leaves running there ends with it: that is what the processes' own
// world is for. inside reports that this is the one that shall work.
func enter() (status int, inside bool, err error) {
	switch os.Getenv(alone) {
	case "":
		return 0, false, again("init", syscall.CLONE_NEWNET|syscall.CLONE_NEWNS|syscall.CLONE_NEWPID)
	case "init":
		return tend()
	}
	return 0, true, nil
}

func again(as string, flags uintptr) error {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), alone+"="+as)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

// tend is the first process of that world: it sets it up, starts the one that works, and buries what is orphaned.
func tend() (status int, inside bool, err error) {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return 0, false, fmt.Errorf("mounts of our own: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return 0, false, fmt.Errorf("/proc of our own: %w", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return 0, false, fmt.Errorf("ip: %w: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return 0, false, err
	}
	if err := os.Setenv(alone, "yes"); err != nil {
		return 0, false, err
	}
	worker, err := os.StartProcess(self, os.Args, &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return 0, false, err
	}
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, false, err
		case pid == worker.Pid:
			return ws.ExitStatus(), false, nil
		}
	}
}
