// The usual microservices, second process: a NestJS note service on NATS.
import "reflect-metadata";
import { Controller, Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { MessagePattern, type MicroserviceOptions, Payload, Transport } from "@nestjs/microservices";
import { required } from "./common.ts";
import { connect, create, query } from "./models.ts";

interface QueryNotes {
	userId: number;
	offset: number;
	limit: number;
}

interface CreateNote {
	userId: number;
	note: { title: string; content: string };
}

@Controller()
class NoteController {
	@MessagePattern("note.query")
	query(@Payload() { userId, limit, offset }: QueryNotes) {
		return query(userId, limit, offset);
	}

	@MessagePattern("note.create")
	create(@Payload() { userId, note }: CreateNote) {
		return create(userId, note);
	}
}

@Module({ controllers: [NoteController] })
class NoteModule {}

connect();
const app = await NestFactory.createMicroservice<MicroserviceOptions>(NoteModule, {
	transport: Transport.NATS,
	options: { servers: [required("NATS_URL")], queue: "notes" },
	logger: false
});
await app.listen();
console.log("ready");
