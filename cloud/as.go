package cloud

import "context"

// As lets an admin look with the eyes of another account: what it may do and see from now on, by verbs with the Who that
// As returns, is what that account may. Each event names both. Denied for everybody else, whether the account exists or not.
func (c *Cloud) As(ctx context.Context, who Who, name string) (as Who, err error) {
	err = c.doAccount(ctx, who, AccountAs, name, func(*Event) error {
		as = who
		as.Account, as.By = name, who.Account
		return c.Store.View(ctx, func(tx Tx) error {
			_, err := c.person(tx, name)
			return err
		})
	})
	return as, err
}

// lent is the account with whose eyes an admin looks, while it is one.
func (c *Cloud) lent(ctx context.Context, who Who) (a Account, err error) {
	self := who
	self.Account, self.By = who.By, ""
	by, err := c.acting(ctx, self)
	if err != nil {
		return a, err
	}
	if err := may(by, AccountAs, target{account: who.Account}); err != nil {
		return a, err
	}
	err = c.Store.View(ctx, func(tx Tx) error {
		a, err = c.person(tx, who.Account)
		return err
	})
	return a, err
}
