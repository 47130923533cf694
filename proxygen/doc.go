// Package proxygen is the folder of what turns routes into a working proxy. Each publisher is a package of
// its own below it, implements cloud.Publisher and knows no other: builtin serves the routes in this
// process. Nothing here decides which sites there are; that is the store's and cloud.Routes.
package proxygen
