package provision

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"plil.net/nuage/cloud"
)

const (
	labelSite    = "nuage.site"
	labelName    = "nuage.name"
	labelAddress = "nuage.address"
	labelHome    = "nuage.home" // inode of the home
	labelSpec    = "nuage.spec" // hash of all that the container was made from but its image
)

// Every byte that a site can write is bounded: its root is read-only, its home has a quota, and these are
// what is left. The tmpfs are paid from its memory.
const (
	runSize = "1m"
	tmpSize = "64m"
	shmSize = 16 << 20
	logSize = "1m"
	logs    = "2"

	openFiles = 4096 // of a process
)

func containerName(id string) string { return "nuage-" + id }

// request is the container of a site as the API wants it. No capability, no
// way to get one, nothing to write to but the home and small tmpfs, and an address that never changes.
func (d *Docker) request(s cloud.Spec, at place) client.ContainerCreateOptions {
	user := fmt.Sprintf("%d:%d", s.UID, s.UID)
	grace := int(d.Grace.Seconds())
	c := client.ContainerCreateOptions{
		Name: containerName(s.ID),
		Config: &container.Config{
			Hostname:    cloud.Hostname,
			User:        user,
			WorkingDir:  cloud.HomePath,
			StopTimeout: &grace,
			Env:         []string{"NUAGE_NAME=" + s.Name, "NUAGE_ROOT=" + s.Root},
			Labels:      map[string]string{labelData: d.Data, labelSite: s.ID, labelName: s.Name, labelHome: inode(s.Home)},
		},
		HostConfig: d.hardening(s, at.name),
	}
	if s.Bare {
		c.Config.Cmd = []string{"/bin/sh", "-ec", bareScript}
	} else {
		plug(&c, s, at)
	}
	c.Config.Labels[labelSpec] = hash(c)
	c.Config.Image = or(s.Image, d.Image) // not in the hash: see Update
	return c
}

// bareScript ends its first line once programs can run beside it.
//
//go:embed bare.sh
var bareScript string

// plug gives a container its address, and tells it of its network.
func plug(c *client.ContainerCreateOptions, s cloud.Spec, at place) {
	end := &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: s.Address}}
	if s.Group.Parent == "" {
		end.MacAddress = mac(s.Address)
	}
	c.NetworkingConfig = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{at.id: end}}
	c.Config.Labels[labelAddress] = s.Address.String()
	c.Config.Env = append(c.Config.Env, "NUAGE_PROXY="+proxyAddress(s.Group, at).String())
	if proxy := s.Group.HTTPProxy; proxy != "" {
		for _, name := range []string{"http_proxy", "https_proxy", "HTTPS_PROXY"} { // HTTP_PROXY would be a header's, to CGI
			c.Config.Env = append(c.Config.Env, name+"="+proxy)
		}
		c.Config.Env = append(c.Config.Env, "no_proxy=localhost,127.0.0.1")
	}
	if s.Group.Parent != "" {
		c.Config.Labels[labelGroup] = s.Group.Name
	}
}

// cpus is how many processors a site may have of those that it shall: the engine refuses more than its host has.
func (d *Docker) cpus(ctx context.Context, want float64) float64 {
	if want <= 1 {
		return want
	}
	if d.cores.Load() == 0 {
		info, err := d.api.Info(ctx, client.InfoOptions{})
		if err != nil || info.Info.NCPU == 0 {
			return want
		}
		d.cores.Store(int64(info.Info.NCPU))
	}
	return min(want, float64(d.cores.Load()))
}

func (d *Docker) hardening(s cloud.Spec, netName string) *container.HostConfig {
	init := true
	pids := d.Pids
	return &container.HostConfig{
		NetworkMode:    container.NetworkMode(netName), // by its name: by an id, engines of before API 1.44 give no MAC
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		Init:           &init, // reaps what sessions leave behind
		CapDrop:        []string{"ALL"},
		SecurityOpt:    []string{"no-new-privileges:true"},
		ReadonlyRootfs: true,
		IpcMode:        container.IPCModePrivate,
		ShmSize:        shmSize,
		OomScoreAdj:    500,
		LogConfig:      container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": logSize, "max-file": logs}},
		Mounts:         []mount.Mount{{Type: mount.TypeBind, Source: s.Home, Target: cloud.HomePath, ReadOnly: s.ReadOnly}},
		Tmpfs: map[string]string{
			"/run":     fmt.Sprintf("rw,nosuid,nodev,noexec,size=%s,mode=0755,uid=%d,gid=%d", runSize, s.UID, s.UID),
			"/tmp":     "rw,nosuid,nodev,exec,size=" + tmpSize + ",mode=1777", // build tools run what they put there
			"/var/tmp": "rw,nosuid,nodev,noexec,size=" + tmpSize + ",mode=1777",
		},
		Resources: container.Resources{
			Memory:     s.Memory,
			MemorySwap: s.Memory, // no swap
			NanoCPUs:   int64(s.CPUs * 1e9),
			PidsLimit:  &pids,
			Ulimits: []*container.Ulimit{
				// Soft is hard: where they differ, runc's own runtime raises the soft one in one exec of eight on a busy machine.
				{Name: "nofile", Soft: openFiles, Hard: openFiles},
				{Name: "core", Soft: 0, Hard: 0},
			},
		},
	}
}

// inode tells one home from another at the same path. A container mounts a directory and not its name: where a restore
// has put another, it has to be made anew. "" for the home of another host.
func inode(dir string) string {
	var s unix.Stat_t
	if unix.Stat(dir, &s) != nil {
		return ""
	}
	return fmt.Sprintf("%d:%d", s.Dev, s.Ino)
}

func hash(c client.ContainerCreateOptions) string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // plain structs of strings and numbers
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
