#!/usr/bin/env bash
# Sourced once by the entrypoint of the mysql image, while its data volume is empty. Each service gets a user who may read
# and write the rows of its own database and nothing else. Only the user of the migrations may create databases and
# change tables.

quoted() {
	local text=${1//\\/\\\\}
	printf "'%s'" "${text//\'/\'\'}"
}

docker_process_sql <<-SQL
	CREATE USER notemesh_migrate IDENTIFIED BY $(quoted "$DB_MIGRATE_PASSWORD");
	GRANT ALL ON notemesh_user.* TO notemesh_migrate;
	GRANT ALL ON notemesh_note.* TO notemesh_migrate;
	GRANT ALL ON notemesh_points.* TO notemesh_migrate;

	CREATE USER notemesh_user IDENTIFIED BY $(quoted "$DB_USER_PASSWORD");
	GRANT SELECT, INSERT, UPDATE, DELETE ON notemesh_user.* TO notemesh_user;

	CREATE USER notemesh_note IDENTIFIED BY $(quoted "$DB_NOTE_PASSWORD");
	GRANT SELECT, INSERT, UPDATE, DELETE ON notemesh_note.* TO notemesh_note;

	CREATE USER notemesh_points IDENTIFIED BY $(quoted "$DB_POINTS_PASSWORD");
	GRANT SELECT, INSERT, UPDATE, DELETE ON notemesh_points.* TO notemesh_points;
SQL
