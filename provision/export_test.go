package provision

// TableName is the name of the engine's table of nftables.
func TableName(d *Docker) string { return d.tableName() }
