// The usual microservices, first process: a NestJS gateway on Fastify (the adapter that its manual names for speed).
import "reflect-metadata";
import {
	Body,
	type CanActivate,
	Controller,
	createParamDecorator,
	type ExecutionContext,
	Get,
	HttpCode,
	Inject,
	Injectable,
	Module,
	Post,
	Query,
	UnauthorizedException,
	UseGuards,
	ValidationPipe
} from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { type ClientProxy, ClientsModule, Transport } from "@nestjs/microservices";
import { FastifyAdapter, type NestFastifyApplication } from "@nestjs/platform-fastify";
import { Type } from "class-transformer";
import { IsInt, IsOptional, IsString, Length, Max, Min } from "class-validator";
import { firstValueFrom } from "rxjs";
import { DEFAULT_LIMIT, required, success, UNAUTHENTICATED, userOf } from "./common.ts";

interface Request {
	headers: { authorization?: string };
	userId?: number;
}

class QueryNotes {
	@IsOptional() @IsString() @Length(1, 128) search_key?: string;
	@IsOptional() @Type(() => Number) @IsInt() @Min(0) offset?: number;
	@IsOptional() @Type(() => Number) @IsInt() @Min(1) @Max(100) limit?: number;
}

class CreateNote {
	@IsString() @Length(1, 128) title!: string;
	@IsString() @Length(1, 65_535) content!: string;
}

const validated = (expectedType: new () => object) =>
	new ValidationPipe({ expectedType, transform: true, whitelist: true, forbidNonWhitelisted: true });

@Injectable()
class TokenGuard implements CanActivate {
	async canActivate(context: ExecutionContext): Promise<boolean> {
		const request = context.switchToHttp().getRequest<Request>();
		request.userId = await userOf(request.headers.authorization);
		if (request.userId === undefined) throw new UnauthorizedException(UNAUTHENTICATED);
		return true;
	}
}

const UserId = createParamDecorator(
	(_data: unknown, context: ExecutionContext) => context.switchToHttp().getRequest<Request>().userId
);

@Controller("v1/note")
@UseGuards(TokenGuard)
class NoteController {
	@Inject("NOTES") notes!: ClientProxy;

	@Get("query")
	async query(@UserId() userId: number, @Query(validated(QueryNotes)) query: QueryNotes) {
		const { offset = 0, limit = DEFAULT_LIMIT } = query;
		return success(await firstValueFrom(this.notes.send("note.query", { userId, offset, limit })));
	}

	@Post()
	@HttpCode(201)
	async create(@UserId() userId: number, @Body(validated(CreateNote)) note: CreateNote) {
		return success(await firstValueFrom(this.notes.send("note.create", { userId, note })));
	}
}

@Module({
	imports: [
		ClientsModule.register([
			{ name: "NOTES", transport: Transport.NATS, options: { servers: [required("NATS_URL")], queue: "notes" } }
		])
	],
	controllers: [NoteController]
})
class GatewayModule {}

const app = await NestFactory.create<NestFastifyApplication>(GatewayModule, new FastifyAdapter(), { logger: false });
await app.listen(Number(required("PORT")), "127.0.0.1");
console.log("ready");
