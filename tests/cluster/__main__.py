"""The command line of the harness."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from tests.cluster import choice, images, prepare
from tests.cluster.api_server import ApiServer
from tests.cluster.clients import kubectl
from tests.cluster.errors import HarnessError
from tests.cluster.interface import Cluster
from tests.cluster.local import LocalCluster
from tests.cluster.paths import state_root

EPILOG = """\b
Environment:
  CALLFLEET_KUBECONFIG  use this cluster; nothing is made or ended
  CALLFLEET_CLUSTER     kind or local, whatever this machine would choose
  CALLFLEET_CACHE       what is built once (default ~/.cache/callfleet)
  CALLFLEET_STATE       what lives as long as a cluster (default ~/.local/state/callfleet)
"""

name_option = click.option(
    "--name", "-n", default="callfleet", show_default=True, help="Several may run at a time."
)


class Group(click.Group):
    """Shows the harness's errors as messages."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Real Kubernetes clusters for tests, the demo and people.

    A cluster is the one that CALLFLEET_KUBECONFIG names; else kind, where a Docker daemon
    answers; else local programs in namespaces of their own (Linux, root).
    """


@main.command("prepare")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(prepare.PURPOSES),
    default="everything",
    show_default=True,
    help="Install only what this needs.",
)
@click.option("--check", is_flag=True, help="Install nothing; only say what is missing.")
def prepare_command(purpose: str, *, check: bool) -> None:
    """Install what is missing (apt, root) and build Kubernetes and its tools.

    Elsewhere one message names everything that is missing and how to get it.
    """
    if check:
        prepare.require(purpose)
    else:
        prepare.install(purpose)
        prepare.build(purpose)
    click.echo(f"Everything for {purpose} is there.")


@main.command()
@name_option
@click.option("--api-only", is_flag=True, help="No node: API, controllers; needs no root.")
@click.option("--images", "with_images", is_flag=True, help="Build and load all images too.")
@click.option("--second-node", is_flag=True, help="Two nodes; of local programs only.")
def up(name: str, *, api_only: bool, with_images: bool, second_node: bool) -> None:
    """Start a cluster and print the path of its kubeconfig."""
    if api_only and (with_images or second_node):
        raise click.UsageError("--api-only has no node")
    cluster: Cluster | ApiServer
    if api_only:
        prepare.require("api")
        cluster = choice.new_api_server(name)
        cluster.up()
    else:
        cluster = choice.new_cluster(name)
        if isinstance(cluster, LocalCluster):
            prepare.require("cluster")
        if second_node and not isinstance(cluster, LocalCluster):
            raise click.UsageError(f"--second-node: {cluster.name} is not of local programs")
        cluster.up()
        built = images.load_all(cluster) if with_images else []
        if second_node and isinstance(cluster, LocalCluster):
            cluster.add_node([image.archive for image in built])
    click.echo(cluster.kubeconfig)


@main.command()
@name_option
def down(name: str) -> None:
    """End a cluster, whatever state it is in, and leave nothing behind."""
    if "CALLFLEET_KUBECONFIG" in os.environ:
        raise HarnessError("CALLFLEET_KUBECONFIG names a cluster that is not ours to end")
    if not choice.exists(name):
        click.echo(f"There is no cluster {name} in {state_root()}.", err=True)
        return
    choice.existing_run(name).down()


@main.command()
def status() -> None:
    """Show every cluster of the state directory."""
    found = [run.status() for run in choice.all_runs()]
    if not found:
        click.echo(f"No cluster in {state_root()}.")
    for one in found:
        click.echo(f"{one.name:24} {one.kind:10} {one.state:20} {one.details}")


@main.command(context_settings={"allow_interspersed_args": False})
@name_option
@click.option("--client", is_flag=True, help="In the client's network: the node's address only.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec(name: str, command: tuple[str, ...], *, client: bool) -> None:  # noqa: A001 - the verb
    """Run a command in a cluster's network.

    KUBECONFIG is set, and kubectl and helm are in PATH:
    python -m tests.cluster exec --name demo kubectl get pods -n kube-system
    """
    cluster = choice.existing_cluster(name)
    within = cluster.in_client_network if client else cluster.in_cluster_network
    argv = within(command)
    path = f"{kubectl().parent}:{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "PATH": path}
    sys.stdout.flush()
    os.execvpe(argv[0], argv, environment)  # noqa: S606 - the command is the user's own


@main.command()
@name_option
@click.argument("archives", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def load(name: str, archives: tuple[Path, ...]) -> None:
    """Give a cluster's node the images of archives (docker-archive)."""
    choice.existing_cluster(name).load(archives)


@main.command("images")
@click.option("--registry", help="Name the images for this registry: registry.example.org/team.")
@click.option("--push/--no-push", default=None, help="Push them there (default with --registry).")
def images_command(registry: str | None, *, push: bool | None) -> None:
    """Build the images of operator, engine and relay; print the Helm values that name them."""
    if push and not registry:
        raise click.UsageError("--push needs --registry")
    built = images.build_images()
    references = {image.part: image.reference for image in built}
    if registry and push is not False:
        references = {image.part: images.push(image, registry) for image in built}
    elif registry:
        references = {image.part: images.named_for(image, registry) for image in built}
    click.echo(images.helm_values(references), nl=False)


@main.command()
@click.option("--all", "everything", is_flag=True, help="Also clusters that run.")
def clean(*, everything: bool) -> None:
    """End and remove what killed processes left in the state directory.

    What was built once stays in the cache; remove that folder to have its space back.
    """
    for name in choice.remove(everything=everything):
        click.echo(f"removed {name}")


if __name__ == "__main__":
    main(prog_name="python -m tests.cluster")
