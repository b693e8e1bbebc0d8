"""A Terraform provider that knows the schema of azurerm and no cloud: what `terraform validate`, `plan` and `test` talk to.

It speaks protocol 5 on a unix socket; Terraform finds it by TF_REATTACH_PROVIDERS, and asks no registry. It plans a creation as
a provider does: what is configured as it is, what only Azure can know as unknown.

`.venv/terraform/bin/python -m tests.terraform.provider SCHEMA SOCKET`: a program of its own, for gRPC is installed there only:
Temporal's client loads it wherever it is, which costs 20 MB.
"""

import json
import sys
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import msgpack
import msgspec
from tfplugin_proto import tfplugin5_5_pb2 as pb
from tfplugin_proto import tfplugin5_5_pb2_grpc as rpc

from tests.terraform.schema import Argument, Block, Schema

_UNKNOWN = msgpack.ExtType(0, b"\x00")
_NESTING = pb.Schema.NestedBlock


def main(schema: str, socket: str) -> None:
    """Serve a schema until the process is ended; says one line when it does."""
    limits = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(8), options=limits)
    provider = _Provider(msgspec.msgpack.decode(Path(schema).read_bytes(), type=Schema))
    rpc.add_ProviderServicer_to_server(provider, server)
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.wait_for_termination()


class _Provider(rpc.ProviderServicer):  # type: ignore[misc]
    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._answer = pb.GetProviderSchema.Response(
            provider=_spoken(schema.provider),
            resource_schemas={kind: _spoken(block) for kind, block in schema.resources.items()},
            data_source_schemas={kind: _spoken(block) for kind, block in schema.data.items()},
        )

    def GetSchema(self, request: Any, context: Any) -> Any:
        return self._answer

    def PrepareProviderConfig(self, request: Any, context: Any) -> Any:
        return pb.PrepareProviderConfig.Response(prepared_config=request.config)

    def ValidateResourceTypeConfig(self, request: Any, context: Any) -> Any:
        return pb.ValidateResourceTypeConfig.Response()

    def ValidateDataSourceConfig(self, request: Any, context: Any) -> Any:
        return pb.ValidateDataSourceConfig.Response()

    def Configure(self, request: Any, context: Any) -> Any:
        return pb.Configure.Response()

    def Stop(self, request: Any, context: Any) -> Any:
        return pb.Stop.Response()

    def PlanResourceChange(self, request: Any, context: Any) -> Any:
        planned = _planned(self._schema.resources[request.type_name], _unpacked(request.proposed_new_state))
        return pb.PlanResourceChange.Response(planned_state=_packed(planned), legacy_type_system=True)

    def ReadDataSource(self, request: Any, context: Any) -> Any:
        seen = _read(self._schema.data[request.type_name], _unpacked(request.config), request.type_name)
        return pb.ReadDataSource.Response(state=_packed(seen))


def _spoken(block: Block) -> Any:
    return pb.Schema(version=0, block=_spoken_block(block))


def _spoken_block(block: Block) -> Any:
    answer = pb.Schema.Block(version=0)
    for name, argument in block.arguments.items():
        answer.attributes.add(
            name=name,
            type=json.dumps(argument.type).encode(),
            required=argument.required,
            optional=argument.optional,
            computed=argument.computed,
        )
    for name, nested in block.blocks.items():
        single = name == "timeouts"
        answer.block_types.add(
            type_name=name,
            block=_spoken_block(nested.block),
            nesting=_NESTING.SINGLE if single else _NESTING.SET if nested.unordered else _NESTING.LIST,
            min_items=int(nested.required),
            max_items=0 if nested.many or single else 1,
        )
    return answer


def _unpacked(value: Any) -> Any:
    return msgpack.unpackb(value.msgpack, raw=False, ext_hook=msgpack.ExtType, strict_map_key=False)


def _packed(value: Any) -> Any:
    return pb.DynamicValue(msgpack=msgpack.packb(value))


def _planned(block: Block, proposed: Any) -> Any:
    """Return the state that is planned; a deletion is planned as it is proposed."""
    if not isinstance(proposed, dict):
        return proposed
    planned = dict(proposed)
    for name, argument in block.arguments.items():
        if planned.get(name) is None and (name == "id" or _only_read(argument)):
            planned[name] = _UNKNOWN
    for name, nested in block.blocks.items():
        if isinstance(planned.get(name), list):
            planned[name] = [_planned(nested.block, item) for item in planned[name]]
    return planned


def _only_read(argument: Argument) -> bool:
    return argument.computed and not argument.optional and not argument.required


def _read(block: Block, config: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return what is there: names as they were asked for, and an answer in the right type for what was not."""
    answers = {"string": f"{kind}-value", "number": 0, "bool": False}
    return config | {
        name: answers.get(str(argument.type), [] if isinstance(argument.type, list) else None)
        for name, argument in block.arguments.items()
        if config.get(name) is None and (name == "id" or _only_read(argument))
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
