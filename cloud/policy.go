package cloud

// Action names a verb that somebody asks for, "noun.verb", in the policy and in the audit.
type Action string

// The actions. The zero Action is denied to everybody.
const (
	WhoAmI Action = "whoami"
	Login  Action = "login"

	SiteCreate Action = "site.create"
	SiteList   Action = "site.list"
	SiteAll    Action = "site.list.all"
	SiteInfo   Action = "site.info"
	SiteDelete Action = "site.delete"
	SiteStart  Action = "site.start"
	SiteStop   Action = "site.stop"
	SiteSet    Action = "site.set"
	SiteLogs   Action = "site.logs"
	SiteStats  Action = "site.stats"
	SiteExec   Action = "site.exec"
	// SiteExecStart is the event of a program that began; that of its end is SiteExec. Nobody asks for it by itself.
	SiteExecStart Action = "site.exec.start"
	SiteFiles     Action = "site.files"
	SiteBackup    Action = "site.backup"
	SiteShare     Action = "site.share"
	SiteLeave     Action = "site.unshare"
	SiteGive      Action = "site.give"
	// A connection to a port or socket inside a site, and the socket of somebody's SSH agent there.
	SiteForward Action = "site.forward"
	SiteAgent   Action = "site.agent"

	// What becomes of files in a home that SiteFiles opened: only the audit knows them.
	FilePut    Action = "file.put"
	FileGet    Action = "file.get"
	FileRemove Action = "file.remove"

	DomainAdd    Action = "domain.add"
	DomainRemove Action = "domain.remove"
	DomainCheck  Action = "domain.check"
	DomainList   Action = "domain.list"

	KeyAdd    Action = "key.add"
	KeyList   Action = "key.list"
	KeyRemove Action = "key.remove"
	KeyEnrol  Action = "key.enrol" // by a login at the school, never by a verb

	AccountEnrol   Action = "account.enrol" // as KeyEnrol
	AccountAdd     Action = "account.add"
	AccountList    Action = "account.list"
	AccountInfoOf  Action = "account.info"
	AccountSet     Action = "account.set"
	AccountDisable Action = "account.disable"
	AccountEnable  Action = "account.enable"
	AccountDelete  Action = "account.delete"
	AccountAs      Action = "account.as"

	GroupList Action = "group.list"
	AuditRead Action = "audit"
	Backup    Action = "backup"
	Import    Action = "import"
	StatusOf  Action = "status"
)

// scope says whom an action is for, besides admins.
type scope int

const (
	nobody scope = iota
	all          // every account
	self         // on one's own account
	users        // owner and members of the site
	owner        // owner of the site
	leaver       // owner of the site, and a member of it about oneself
	admins       // admins only
)

var policy = map[Action]scope{
	WhoAmI: all, Login: all,
	SiteCreate: all, SiteList: all, SiteAll: admins,
	SiteInfo: users, SiteStart: users, SiteStop: users, SiteSet: users, SiteLogs: users, SiteStats: users, SiteExec: users, SiteFiles: users, SiteBackup: users,
	SiteDelete: owner, SiteShare: owner, SiteGive: owner, SiteLeave: leaver,
	DomainAdd: owner, DomainRemove: owner, DomainCheck: owner, DomainList: all,
	KeyAdd: self, KeyList: self, KeyRemove: self,
	SiteForward: users, SiteAgent: users,
	AccountAdd: admins, AccountList: admins, AccountInfoOf: admins, AccountSet: admins,
	AccountDisable: admins, AccountEnable: admins, AccountDelete: admins, AccountAs: admins,
	GroupList: admins, AuditRead: admins, Backup: admins, Import: admins, StatusOf: admins,
}

// target is what an action is asked on: a site, an account, one about the other, or nothing.
type target struct {
	site    *Site
	account string
	absent  error // what is said where the account may not see it; nil: that there is no such site
}

// may decides. What the account may not even see is NotFound, what it may see but not do is Denied.
func may(who Account, action Action, on target) error {
	s := policy[action]
	switch {
	case s == nobody:
		return Errorf(Denied, "%q is not allowed", action)
	case who.Disabled:
		return disabled(who)
	case who.IsAdmin() || s == all:
		return nil
	case s == self && on.account == who.Name:
		return nil
	case (s == users || s == owner || s == leaver) && (on.site == nil || !on.site.UsableBy(who.Name)):
		return Errorf(NotFound, "no such site") // the caller names it
	case s == users, s == leaver && on.account == who.Name, (s == owner || s == leaver) && on.site.Owner == who.Name:
		return nil
	case s == owner, s == leaver:
		return Errorf(Denied, "only the owner of %q may do this", on.site.Name).WithHint("ask %q", on.site.Owner)
	}
	return Errorf(Denied, "this is for admins").WithHint("ask your admin")
}
